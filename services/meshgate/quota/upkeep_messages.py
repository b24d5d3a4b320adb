"""VerifyUsage and EraseUsage: messages to what is done with the ledger, and back."""

from meshgate.quota.ledger.erasing import Erasing
from meshgate.quota.ledger.verification import Verification, Verified
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import usage_service_pb2 as pb


async def verify(
    verification: Verification, request: pb.VerifyUsageRequest
) -> pb.VerifyUsageResponse:
    """Look through the part of the ledger that is asked for. Raises as `Verification.verify`."""
    return verified_message(await verification.verify(request.page_token, request.page_size))


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
