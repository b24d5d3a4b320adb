"""The counters in the store, as the books are compared with them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from msgspec import Struct

from meshgate.quota.ledger.counters import Counter, CounterName, Place, Window, counters_in
from meshgate.quota.ledger.intake import Told
from meshgate.quota.redis_calls import decode, encode, prefix_of
from meshgate.quota.redis_nodes import RedisNodes, ScriptCall
from meshgate.quota.redis_scripts import Script, load
from meshgate.quota.rules import CALENDAR, TOTAL
from meshgate.quota.shards import SHARD_COUNT, tag_of
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import ServiceUnavailableError

MOST_WAITING = 20_000
"""With more entries in a shard that wait for the ledger, nothing is compared."""

_ANSWER_SECONDS = 5.0
_MOST_SUBJECTS_A_CALL = 200
_KEY = re.compile(rb"\{q(\d\d)\}:subject:(.*)", re.DOTALL)
_EVERY_SUBJECT = "{q[0-9][0-9]}:subject:*"
_READ = Script(
    "counters_read",
    (files("meshgate.quota") / "scripts" / "counters_read.lua").read_text(),
)
_RAISE = load("counters_raise")
_WHOLE = Script(
    "counters_whole",
    (files("meshgate.quota") / "scripts" / "counters_whole.lua").read_text(),
)
_IS_WHOLE = b"whole"


class ShardRead(Struct, frozen=True):
    """What a shard held at one moment.

    Attributes:
        now: That moment in milliseconds, as the windows of limits see it.
        server_time: The same by the clock that stamps entries of the stream.
        counters: Of each subject that was asked for, by rule.
        waiting: What the ledger has not taken and dropped yet.
    """

    now: int
    server_time: int
    counters: Mapping[Place, Mapping[str, Counter]]
    waiting: Sequence[Told]


class Raise(Struct, frozen=True):
    """A counter to be raised.

    Attributes:
        name: Which.
        window: Its present window.
        spent: What it was found to hold as spent; where it holds something else now, it stays.
        more: How much it lacks.
        since: When the first grant that it counts was made, in milliseconds.
    """

    name: CounterName
    window: Window
    spent: int
    more: int
    since: int


def _no_moment() -> int | None:
    return None


class CounterStore:
    """Reads counters, and raises them.

    Args:
        nodes: Where they are.
        moment: The time in milliseconds; None for that of the server. Tests give it.
        answer_seconds: So long the store may take to answer.
    """

    def __init__(
        self,
        nodes: RedisNodes,
        moment: Callable[[], int | None] = _no_moment,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._nodes = nodes
        self._moment = moment
        self._answer_seconds = answer_seconds

    async def now(self) -> int:
        """The moment in milliseconds.

        Raises:
            ServiceUnavailableError: The store does not answer.
        """
        (reply,) = (await self.read({0: ()})).values()
        return reply.now

    async def places(self) -> set[Place]:
        """Whose counters there are.

        Raises:
            ServiceUnavailableError: The store does not answer.
        """
        keys = await self._nodes.keys(_EVERY_SUBJECT, Deadline.after(self._answer_seconds))
        found = (_KEY.fullmatch(key) for key in keys)
        return {_parted(match[2]) for match in found if match and int(match[1]) < SHARD_COUNT}

    async def read(self, places: Mapping[int, Iterable[Place]]) -> Mapping[int, ShardRead]:
        """The counters of some subjects, by shard, and all that waits there for the ledger.

        Raises:
            ServiceUnavailableError: The store does not answer, or too much waits.
        """
        asked = {shard: tuple(some) for shard, some in places.items()}
        calls = [
            self._call(shard, {"references": [_reference(place) for place in some]})
            for shard, some in asked.items()
        ]
        deadline = Deadline.after(self._answer_seconds)
        replies = await self._nodes.run(_READ, calls, deadline)
        return {
            shard: _shard_read(shard, some, reply)
            for (shard, some), reply in zip(asked.items(), replies, strict=True)
        }

    async def counters(self, places: Iterable[Place]) -> Mapping[Place, Mapping[str, Counter]]:
        """The counters of many subjects, whenever each is read; those that are gone have none."""
        by_shard: dict[int, list[Place]] = {}
        for place in places:
            by_shard.setdefault(CounterName(*place, "").shard, []).append(place)
        found: dict[Place, Mapping[str, Counter]] = {}
        while by_shard:
            some = {shard: left[:_MOST_SUBJECTS_A_CALL] for shard, left in by_shard.items()}
            for shard, one in (await self._read_only(some)).items():
                found.update(one)
                del by_shard[shard][:_MOST_SUBJECTS_A_CALL]
            by_shard = {shard: left for shard, left in by_shard.items() if left}
        return found

    async def raise_counters(self, raises: Iterable[Raise]) -> Sequence[CounterName]:
        """Raise counters; those that still held what they were found to hold, and are raised.

        Raises:
            ServiceUnavailableError: The store does not answer. Some may be raised.
        """
        by_shard: dict[int, list[Raise]] = {}
        for one in raises:
            by_shard.setdefault(one.name.shard, []).append(one)
        calls = [
            self._call(shard, {"items": [_item(one) for one in some]})
            for shard, some in by_shard.items()
        ]
        replies = await self._nodes.run(_RAISE, calls, Deadline.after(self._answer_seconds))
        raised: list[CounterName] = []
        for some, reply in zip(by_shard.values(), replies, strict=True):
            done = decode(reply).results
            raised.extend(one.name for one, was in zip(some, done, strict=True) if was)
        return raised

    async def lost(self) -> Mapping[int, bytes]:
        """The shards that were emptied since their counters were made, each with what tells its loss.

        Raises:
            ServiceUnavailableError: The store does not answer.
        """
        said = await self._whole(dict.fromkeys(range(SHARD_COUNT), b""))
        return {shard: loss for shard, loss in said.items() if loss != _IS_WHOLE}

    async def make_whole(self, losses: Mapping[int, bytes]) -> None:
        """The counters of these shards are whole again, unless they were lost anew meanwhile.

        Raises:
            ServiceUnavailableError: The store does not answer.
        """
        await self._whole(losses)

    async def _whole(self, losses: Mapping[int, bytes]) -> Mapping[int, bytes]:
        calls = [ScriptCall(shard, (tag_of(shard), loss)) for shard, loss in losses.items()]
        said = await self._nodes.run(_WHOLE, calls, Deadline.after(self._answer_seconds))
        return dict(zip(losses, said, strict=True))

    async def _read_only(
        self, places: Mapping[int, Sequence[Place]]
    ) -> Mapping[int, Mapping[Place, Mapping[str, Counter]]]:
        """Without what waits."""
        calls = [
            self._call(shard, {"references": [_reference(place) for place in some], "most": 0})
            for shard, some in places.items()
        ]
        replies = await self._nodes.run(_READ, calls, Deadline.after(self._answer_seconds))
        return {
            shard: _counters(some, reply)
            for (shard, some), reply in zip(places.items(), replies, strict=True)
        }

    def _call(self, shard: int, body: dict[str, Any]) -> ScriptCall:
        fixed = {"tag": tag_of(shard), "most": MOST_WAITING}
        moment = self._moment()
        return ScriptCall(shard, (b"" if moment is None else moment, encode(fixed | body)))


def _reference(place: Place) -> str:
    partition, subject = place
    return prefix_of(partition) + subject


def _parted(reference: bytes) -> Place:
    length, _, rest = reference.partition(b":")
    size = int(length)
    return rest[:size].decode(), rest[size + 1 :].decode()


def _counters(places: Sequence[Place], reply: Any) -> Mapping[Place, Mapping[str, Counter]]:
    return {place: counters_in(blob) for place, blob in zip(places, reply[2], strict=True)}


def _shard_read(shard: int, places: Sequence[Place], reply: Any) -> ShardRead:
    now, server_time, _, length, entries = reply
    if length > MOST_WAITING:
        raise ServiceUnavailableError(
            "too much waits for the ledger to compare anything with it: come back when it is written",
            retry_after_seconds=10,
        )
    waiting = [
        Told(shard, entry_id.decode(), dict(zip(fields[::2], fields[1::2], strict=False)))
        for entry_id, fields in entries
    ]
    return ShardRead(int(now), int(server_time), _counters(places, reply), waiting)


def _item(one: Raise) -> dict[str, Any]:
    window = one.window
    mode = TOTAL if window.end is None else CALENDAR
    return {
        "reference": _reference((one.name.partition, one.name.subject)),
        "rule": (one.name.rule, 0, mode, window.start, window.end or 0, window.previous),
        "spent": one.spent,
        "more": one.more,
        "since": one.since,
    }
