"""All records in SQL."""

from meshgate.auth import directory as port
from meshgate.auth.balances import Balances
from meshgate.auth.records import Organization, Team, User
from meshgate.auth.sql.balances import SqlBalances
from meshgate.auth.sql.collection import Tools
from meshgate.auth.sql.groupings import Organizations, Teams, Users
from meshgate.auth.sql.keys import Keys


class SqlDirectory:
    """A `Directory` in a database."""

    def __init__(self, tools: Tools) -> None:
        self._organizations = Organizations(tools)
        self._teams = Teams(tools)
        self._users = Users(tools)
        self._keys = Keys(tools)
        self._balances = SqlBalances(tools)

    @property
    def organizations(self) -> port.Records[Organization]:
        return self._organizations

    @property
    def teams(self) -> port.Records[Team]:
        return self._teams

    @property
    def users(self) -> port.Records[User]:
        return self._users

    @property
    def keys(self) -> port.Keys:
        return self._keys

    @property
    def balances(self) -> Balances:
        return self._balances
