import pytest

from meshgate.quota.ledger.findings import Fault
from meshgate.quota.ledger.kept_links import ChainHead
from meshgate.quota.ledger.verification import Verified
from meshgate.quota.upkeep_messages import erase, verify
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import usage_service_pb2 as pb


class Books:
    """A `Verification` and `Erasing` that knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def verify(self, page_token, page_size):
        self.asked.append((page_token, page_size))
        heads = [ChainHead(3, 9, bytes(31) + b"\x0f")]
        return Verified([Fault(3, 4, "it is missing")], 8, 2, heads, "next")

    async def compare(self, kept):
        self.asked.append(tuple(kept))
        return [Fault(kept[0].shard, kept[0].sequence, "not the one")] if kept else []

    async def erase_user(self, user_id, principal_id):
        self.asked.append(("user", user_id, principal_id))
        return 5

    async def erase_organization(self, organization_id, principal_id):
        self.asked.append(("organization", organization_id, principal_id))
        return 6


async def test_what_was_found_is_told():
    books = Books()

    found = await verify(books, pb.VerifyUsageRequest(page_token="here", page_size=7))

    assert books.asked == [("here", 7)]
    assert found == pb.VerifyUsageResponse(
        faults=[pb.LedgerFault(shard=3, sequence=4, message="it is missing")],
        entry_count=8,
        erased_count=2,
        heads=[pb.LedgerHead(shard=3, sequence=9, chain="00" * 31 + "0f")],
        next_page_token="next",
    )


LINK = "3:9:" + "00" * 31 + "0f"


async def test_links_that_were_kept_are_compared_with_the_first_page():
    books = Books()

    first = await verify(books, pb.VerifyUsageRequest(kept_links=[LINK]))
    second = await verify(books, pb.VerifyUsageRequest(page_token="here", kept_links=[LINK]))

    assert books.asked == [("", 0), (ChainHead(3, 9, bytes(31) + b"\x0f"),), ("here", 0)]
    assert [fault.message for fault in first.faults] == ["not the one", "it is missing"]
    assert [fault.message for fault in second.faults] == ["it is missing"]


@pytest.mark.parametrize(
    "links", [["3:9"], ["3:9:zz"], [f"-1{LINK[1:]}"], [f"3:{'9' * 40}:{LINK[4:]}"], [LINK] * 65]
)
async def test_what_is_no_link_is_refused(links):
    with pytest.raises(InvalidRequestError, match="kept_links"):
        await verify(Books(), pb.VerifyUsageRequest(kept_links=links))


async def test_whose_usage_is_asked_for_is_erased_for_who_asks():
    books = Books()

    answers = [
        await erase(books, pb.EraseUsageRequest(user_id="ann"), "root"),
        await erase(books, pb.EraseUsageRequest(organization_id="acme"), "admin"),
    ]

    assert [answer.erased_count for answer in answers] == [5, 6]
    assert books.asked == [("user", "ann", "root"), ("organization", "acme", "admin")]


async def test_nobody_is_not_everybody():
    books = Books()

    with pytest.raises(InvalidRequestError, match="neither user_id nor organization_id"):
        await erase(books, pb.EraseUsageRequest(), "root")

    assert books.asked == []
