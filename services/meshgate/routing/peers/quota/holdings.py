"""Everything that quota has set aside for this process."""

import time
from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from meshgate.routing.chain import Chain
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.grant import Grant, ledger_grant

_LEDGER_SECONDS = 60.0
_MOST_IDLE_ACCOUNTS = 10_000


class Holdings:
    """Accounts by chain, and the grants that are not settled yet.

    Args:
        now: The monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.accounts: dict[str, Account] = {}
        self.grants: dict[str, Grant] = {}
        self._ledgers: dict[str, Grant] = {}

    def account(self, chain: Chain) -> Account:
        """The account of a chain; a new one for one that was not seen lately."""
        account = self.accounts.get(chain.identity)
        if account is None:
            account = self.accounts[chain.identity] = Account(chain, self.now)
        return account

    def keep(self, grant: Grant) -> None:
        """Know a grant until all of it is settled."""
        self.grants[grant.grant_id] = grant

    def ledger(self, organization_id: str) -> Grant:
        """What keeps the records of requests without limits, a new one from time to time."""
        now = self.now()
        grant = self._ledgers.get(organization_id)
        if grant is None or now - grant.alive_at > _LEDGER_SECONDS:
            moment = Timestamp()
            moment.GetCurrentTime()
            grant = self._ledgers[organization_id] = ledger_grant(organization_id, moment, now)
        return grant

    def forget(self) -> None:
        """Forget what is of no more use."""
        for grant_id, grant in tuple(self.grants.items()):
            if grant.released and not grant.unsettled:
                del self.grants[grant_id]
        if len(self.accounts) > _MOST_IDLE_ACCOUNTS:
            self.accounts = {
                identity: account
                for identity, account in self.accounts.items()
                if not account.is_idle
            }
        now = self.now()
        self._ledgers = {
            name: grant
            for name, grant in self._ledgers.items()
            if now - grant.alive_at <= _LEDGER_SECONDS
        }
