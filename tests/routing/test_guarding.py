"""Guards without a mesh: which policies apply, and streams that pass unseen."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.fake_guardrails import policy
from routing.fakes import model

from meshgate.config.snapshot import Snapshot
from meshgate.dialects.segments import Piece, SegmentKind
from meshgate.routing.guarding import ClosedRelease, OpenRelease
from meshgate.routing.policies import Policies, are_needed, policies_of
from meshgate.runtime.errors import ServiceUnavailableError

pieces = st.lists(st.tuples(st.sampled_from("ab"), st.text("xyz", max_size=4)), max_size=12)


class Failing:
    """Holds back the last characters of each channel, and fails from one step on."""

    def __init__(self, fails_at: int, holds: int, mask: bool = False) -> None:
        self.left = fails_at
        self.holds = holds
        self.mask = mask
        self.held: dict[str, str] = defaultdict(str)

    async def released(self, piece: Piece) -> str:
        if not self.left:
            raise ServiceUnavailableError("away")
        self.left -= 1
        text = self.held[piece.channel] + piece.text
        end = len(text) if piece.is_last else max(0, len(text) - self.holds)
        self.held[piece.channel] = text[end:]
        return "*" * end if self.mask else text[:end]

    async def ended(self) -> Sequence[Any]:
        if not self.left:
            raise ServiceUnavailableError("away")
        return ["found"]

    def close(self) -> None:
        self.left = 0


def snapshot(*policies: Any) -> Snapshot:
    named = model("m", "a", guardrails=tuple(each.name for each in policies))
    return Snapshot("r1", models={"m": named}, guardrails={each.name: each for each in policies})


async def shown(release: Any, given: Sequence[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, str] = defaultdict(str)
    for channel, text in given:
        texts[channel] += await release.released(Piece(channel, SegmentKind.TEXT, text))
    for channel in "ab":
        last = Piece(channel, SegmentKind.TEXT, "", is_last=True)
        texts[channel] += await release.released(last)
    return texts


@given(pieces, st.integers(0, 14), st.integers(0, 5))
def test_wherever_guardrails_fail_an_open_answer_loses_nothing(
    given: list[tuple[str, str]], fails_at: int, holds: int
) -> None:
    release = OpenRelease(Failing(fails_at, holds), "r-1")

    texts = asyncio.run(shown(release, given))

    for channel in "ab":
        assert texts[channel] == "".join(text for where, text in given if where == channel)


async def test_an_open_answer_in_which_something_was_masked_does_not_go_on() -> None:
    release = OpenRelease(Failing(1, 2, mask=True), "r-1")

    with pytest.raises(ServiceUnavailableError):
        await shown(release, [("a", "secret"), ("a", "more")])


async def test_a_channel_in_which_nothing_was_masked_goes_on_beside_one_that_has_ended() -> None:
    failing = Failing(1, 0, mask=True)
    release = OpenRelease(failing, "r-1")

    ended = await release.released(Piece("a", SegmentKind.TEXT, "secret", is_last=True))
    other = await release.released(Piece("b", SegmentKind.TEXT, "hello"))

    assert (ended, other) == ("******", "hello")
    assert await release.ended() == ()


async def test_a_closed_answer_ends_where_guardrails_fail() -> None:
    release = ClosedRelease(Failing(1, 0), "r-1")

    assert await release.released(Piece("a", SegmentKind.TEXT, "x")) == "x"
    with pytest.raises(ServiceUnavailableError, match="guardrails"):
        await release.released(Piece("a", SegmentKind.TEXT, "y"))


async def test_findings_that_are_lost_end_nothing_for_all_was_looked_at() -> None:
    assert await ClosedRelease(Failing(0, 0), "r-1").ended() == ()
    assert await ClosedRelease(Failing(1, 0), "r-1").ended() == ["found"]


def test_only_policies_with_rules_for_a_phase_are_asked_in_it() -> None:
    both, first, last = policy("both"), policy("first", "input"), policy("last", "output")
    configured = snapshot(both, first, last)

    found = policies_of(configured.models["m"], configured)

    assert found.input.names == ("both", "first")
    assert found.output.names == ("both", "last")


def test_a_phase_fails_open_only_where_all_its_policies_do() -> None:
    configured = snapshot(
        policy("a", "input", "open"), policy("b", "output"), policy("c", "output", "open")
    )

    found = policies_of(configured.models["m"], configured)

    assert found.input == Policies(("a",), fails_open=True)
    assert found.output == Policies(("b", "c"), fails_open=False)


@pytest.mark.parametrize(
    ("policies", "needed"),
    [([], False), ([policy("a", on_error="open")], False), ([policy("a")], True)],
)
def test_guardrails_are_needed_where_something_may_not_pass_unseen(
    policies: list[Any], needed: bool
) -> None:
    assert are_needed(snapshot(*policies)) is needed
