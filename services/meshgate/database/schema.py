"""Whose tables a database holds, and which they are by now."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, MetaData, Table, Text


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one service. Several services may have theirs in one database.

    Attributes:
        owner: Whose records they are, as people say: `auth`.
        url_variable: What tells where they are.
        revisions: Of all migrations, oldest first. Kept here so that services need no Alembic.
        migrations: The directory of the migrations, a module for each.
        version_table: Where the revision is kept.
    """

    owner: str
    url_variable: str
    revisions: tuple[str, ...]
    migrations: Path
    version_table: str = "alembic_version"

    @property
    def latest(self) -> str:
        """The revision that this version works with."""
        return self.revisions[-1]

    @property
    def version(self) -> Table:
        """The table that tells the revision."""
        return Table(self.version_table, MetaData(), Column("version_num", Text))
