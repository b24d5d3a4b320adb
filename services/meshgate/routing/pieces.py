"""Requests for several things: what is kept of each, and what is still to be asked."""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from meshgate.dialects.keeping import Piecewise
from meshgate.dialects.meshgate_chat.usage import read_usage, write_usage
from meshgate.dialects.neutral import Usage
from meshgate.dialects.pieces import AnswerPiece
from meshgate.routing.peers.cache import Place
from meshgate.routing.question import Question
from meshgate.routing.shares import Share, shares_of, total
from meshgate.runtime.errors import UpstreamFailedError
from meshgate.v1 import cache_service_pb2 as pb


class _Found(Struct, frozen=True):
    """A piece that is kept."""

    entry: pb.CacheEntry
    answer: AnswerPiece


class Pieces:
    """The pieces of one request. Each is kept as the answer to a request for it alone.

    A piece that is asked for several times is kept, asked and paid for once.

    Args:
        piecewise: How answers are cut and put together.
        places: Where the answer to each piece lies, in the order of the request.
        weights: About how many tokens each has.
    """

    def __init__(
        self, piecewise: Piecewise, places: Sequence[Place], weights: Sequence[int]
    ) -> None:
        self._piecewise = piecewise
        self._order = places
        self._weights = dict(zip(places, weights, strict=True))
        self._found: dict[Place, _Found] = {}

    @property
    def places(self) -> list[Place]:
        """Where to look, each place once."""
        return list(self._weights)

    # ------------------------------------------------------------- what is kept

    def take(self, entries: Sequence[pb.CacheEntry | None]) -> pb.CacheEntry | None:
        """Take note of what was found at each place.

        Returns:
            The whole answer, where nothing is missing.
        """
        for place, entry in zip(self._weights, entries, strict=True):
            answer = None if entry is None else self._piecewise.read(entry.body, 1)
            if entry is not None and answer is not None:
                self._found[place] = _Found(entry, *answer)
        return None if self._missing else self._whole()

    def forget(self) -> None:
        """Take all for missing."""
        self._found = {}

    @property
    def found(self) -> Share:
        """What those consumed that were found, when they were made."""
        return total([_share(each.entry) for each in self._found.values()])

    @property
    def saved(self) -> pb.CacheEntry | None:
        """An entry that says so, without an answer; None where none was found."""
        for each in self._found.values():
            return _like(each.entry, b"", self.found)
        return None

    def _whole(self) -> pb.CacheEntry:
        entries = [each.entry for each in self._found.values()]
        if len(self._order) == 1:
            return entries[0]
        oldest = min(entries, key=lambda entry: entry.create_time.ToNanoseconds())
        answers = [self._found[place].answer for place in self._order]
        consumed = self.found
        return _like(oldest, self._piecewise.write(answers, consumed.usage), consumed)

    # ------------------------------------------------------------- what is asked

    @property
    def _missing(self) -> list[Place]:
        return [place for place in self._weights if place not in self._found]

    @property
    def _are_all_asked(self) -> bool:
        """Whether the request goes upstream as it came."""
        return len(self._missing) == len(self._order)

    def narrowed(self, question: Question) -> Question:
        """The question for what is missing."""
        if self._are_all_asked:
            return question
        positions = {place: position for position, place in enumerate(self._order)}
        missing = [positions[place] for place in self._missing]
        return replace(question, body=self._piecewise.narrowed(question.body, missing))

    def read(self, body: bytes) -> dict[Place, AnswerPiece] | None:
        """What an upstream answered for each that was missing.

        None where its answer does not fit, and may still go to the client as it is.

        Raises:
            UpstreamFailedError: It does not fit, and nothing can be made of it.
        """
        missing = self._missing
        answers = self._piecewise.read(body, len(missing))
        if answers is not None:
            return dict(zip(missing, answers, strict=True))
        if self._are_all_asked:
            return None
        raise UpstreamFailedError("the upstream's vectors do not fit the inputs")

    def completed(self, body: bytes, fresh: dict[Place, AnswerPiece], usage: Usage | None) -> bytes:
        """The answer to the whole request.

        Args:
            body: What the upstream answered.
            fresh: The same, as it was read.
            usage: What that consumed.
        """
        if self._are_all_asked:
            return body
        answers = fresh | {place: each.answer for place, each in self._found.items()}
        consumed = self._with_found(Share(usage))
        return self._piecewise.write([answers[place] for place in self._order], consumed.usage)

    def entries(
        self, made: pb.CacheEntry, fresh: dict[Place, AnswerPiece]
    ) -> Iterator[tuple[Place, pb.CacheEntry]]:
        """What an upstream answered as it is kept, piece by piece.

        Args:
            made: The same as one entry.
            fresh: The same, as it was read.
        """
        shares = shares_of(_share(made), [self._weights[place] for place in fresh])
        for (place, answer), share in zip(fresh.items(), shares, strict=True):
            body = made.body if len(fresh) == 1 else self._piecewise.write([answer], share.usage)
            yield place, _like(made, body, share)

    def whole(self, made: pb.CacheEntry, body: bytes) -> pb.CacheEntry:
        """The answer to the whole request as one entry, for those who wait for the same.

        Args:
            made: What the upstream answered.
            body: What was made of it.
        """
        return _like(made, body, self._with_found(_share(made)))

    def _with_found(self, fresh: Share) -> Share:
        return total([fresh, self.found]) if self._found else fresh


def _share(entry: pb.CacheEntry) -> Share:
    return Share(
        read_usage(entry.usage) if entry.HasField("usage") else None,
        entry.cost_nanos if entry.HasField("cost_nanos") else None,
    )


def _like(entry: pb.CacheEntry, body: bytes, share: Share) -> pb.CacheEntry:
    """An entry by the same upstream, of the same time."""
    return pb.CacheEntry(
        dialect=entry.dialect,
        body=body,
        served_model=entry.served_model,
        usage=write_usage(share.usage),
        finish_reason=entry.finish_reason,
        provider=entry.provider,
        cost_nanos=share.cost_nanos,
        create_time=entry.create_time,
    )
