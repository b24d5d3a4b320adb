"""VerifyUsage and EraseUsage: messages to what is done with the ledger, and back."""

import re
from collections.abc import Sequence

import msgspec

from meshgate.quota.ledger.erasing import Erasing
from meshgate.quota.ledger.kept_links import ChainHead
from meshgate.quota.ledger.verification import Verification, Verified
from meshgate.quota.shards import SHARD_COUNT
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import usage_service_pb2 as pb

_KEPT_LINK = re.compile(r"([0-9]{1,4}):([0-9]{1,18}):([0-9a-f]{64})")


async def verify(
    verification: Verification, request: pb.VerifyUsageRequest
) -> pb.VerifyUsageResponse:
    """Look through the part of the ledger that is asked for. Raises as `Verification`'s methods.

    Raises:
        InvalidRequestError: A link that was kept is none.
    """
    kept = _kept_links(request.kept_links)
    verified = await verification.verify(request.page_token, request.page_size)
    if kept and not request.page_token:
        faults = [*await verification.compare(kept), *verified.faults]
        verified = msgspec.structs.replace(verified, faults=faults)
    return verified_message(verified)


def _kept_links(written: Sequence[str]) -> Sequence[ChainHead]:
    if len(written) > SHARD_COUNT:
        raise InvalidRequestError(
            f"kept_links: there are {SHARD_COUNT} chains, and one link of each can be compared",
            field="kept_links",
        )
    return [_kept_link(text) for text in written]


def _kept_link(text: str) -> ChainHead:
    found = _KEPT_LINK.fullmatch(text)
    if found is None:
        raise InvalidRequestError(
            "kept_links: write each as shard:sequence:chain, as `heads` had them",
            field="kept_links",
        )
    shard, sequence, chain = found.groups()
    return ChainHead(int(shard), int(sequence), bytes.fromhex(chain))


async def erase(
    erasing: Erasing, request: pb.EraseUsageRequest, principal_id: str
) -> pb.EraseUsageResponse:
    """Erase what is asked for, for somebody. Raises as `Erasing`'s methods."""
    subject = request.WhichOneof("subject")
    if subject is None:
        raise InvalidRequestError(
            "neither user_id nor organization_id is given: whose usage is to be erased?",
            field="subject",
        )
    if subject == "user_id":
        erased = await erasing.erase_user(request.user_id, principal_id)
    else:
        erased = await erasing.erase_organization(request.organization_id, principal_id)
    return pb.EraseUsageResponse(erased_count=erased)


def verified_message(verified: Verified) -> pb.VerifyUsageResponse:
    """What was found, as a message."""
    return pb.VerifyUsageResponse(
        faults=[
            pb.LedgerFault(shard=fault.shard, sequence=fault.sequence, message=fault.message)
            for fault in verified.faults
        ],
        entry_count=verified.entry_count,
        erased_count=verified.erased_count,
        heads=[
            pb.LedgerHead(shard=head.shard, sequence=head.sequence, chain=head.chain.hex())
            for head in verified.heads
        ],
        next_page_token=verified.next_page_token,
    )
