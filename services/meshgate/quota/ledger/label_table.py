"""The table of labels: which number stands for which name."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.quota.ledger.insertion import insert_missing
from meshgate.quota.ledger.labels import Kind
from meshgate.quota.ledger.schema import ERASURES, LABELS

Label = tuple[Kind, str]

_MOST_KNOWN = 50_000
_MOST_A_QUERY = 5_000


class LabelTable:
    """Numbers of labels. Those that were used last are remembered."""

    def __init__(self, most_known: int = _MOST_KNOWN) -> None:
        self._most_known = most_known
        self._known: OrderedDict[Label, int] = OrderedDict()
        self._last_erasure: int | None = None

    async def numbers(
        self, connection: AsyncConnection, labels: Iterable[Label]
    ) -> Mapping[Label, int]:
        """The number of each label; new ones get theirs in the transaction of the connection.

        They are not remembered before `remember`: the transaction may fail. Who asks holds a lock
        on the head of a shard, so that no name is erased meanwhile.
        """
        await self._notice_erasures(connection)
        found: dict[Label, int] = {}
        missing: list[Label] = []
        for label in set(labels):
            number = self._known.get(label)
            if number is None:
                missing.append(label)
            else:
                found[label] = number
        if missing:
            # In order, so that two transactions never wait for each other.
            rows = [{"kind": int(kind), "text": name} for kind, name in sorted(missing)]
            await insert_missing(connection, LABELS, rows)
            found.update(await stored_numbers(connection, missing))
        return found

    def remember(self, numbers: Mapping[Label, int]) -> None:
        """Remember numbers that are committed."""
        for label, number in numbers.items():
            self._known[label] = number
            self._known.move_to_end(label)
        while len(self._known) > self._most_known:
            self._known.popitem(last=False)

    async def _notice_erasures(self, connection: AsyncConnection) -> None:
        """Each may have given a number another name."""
        last = await connection.scalar(select(func.max(ERASURES.c.erasure_id)))
        if last != self._last_erasure:
            self.forget()
            self._last_erasure = last

    def forget(self) -> None:
        """Look everything up again."""
        self._known.clear()


async def stored_numbers(connection: AsyncConnection, labels: Iterable[Label]) -> dict[Label, int]:
    """The number of each label that has one."""
    by_kind: dict[Kind, list[str]] = {}
    for kind, name in labels:
        by_kind.setdefault(kind, []).append(name)
    found: dict[Label, int] = {}
    for kind, names in by_kind.items():
        for begin in range(0, len(names), _MOST_A_QUERY):
            some = names[begin : begin + _MOST_A_QUERY]
            query = select(LABELS.c.text, LABELS.c.label_id).where(
                LABELS.c.kind == int(kind), LABELS.c.text.in_(some)
            )
            rows = await connection.execute(query)
            found.update({(kind, row.text): row.label_id for row in rows})
    return found
