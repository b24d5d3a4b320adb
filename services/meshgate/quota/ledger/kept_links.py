"""Links of chains that were kept elsewhere: do the chains of today still go through them?"""

from msgspec import Struct

from meshgate.quota.ledger.findings import Fault, Link


class ChainHead(Struct, frozen=True):
    """The last link that a chain had once; kept elsewhere, it shows whether all was made anew since."""

    shard: int
    sequence: int
    chain: bytes


class Passage(Struct, frozen=True):
    """What is stored of a chain at a place that it once ended at.

    Attributes:
        start: The last entry that was dropped because of its age.
        head: The last entry; 0 for none.
        chain: The link at the place; None where there is no such entry.
    """

    start: Link
    head: int
    chain: bytes | None


def compared(kept: ChainHead, passage: Passage) -> Fault | None:
    """What is wrong, if anything is. Of what was dropped since only the last link is known."""
    chain = passage.start.chain if kept.sequence == passage.start.sequence else passage.chain
    if kept.sequence < passage.start.sequence or chain == kept.chain:
        return None
    if kept.sequence > passage.head:
        return Fault(kept.shard, passage.head, "entries that were there are gone from the end")
    return Fault(kept.shard, kept.sequence, "the chain is not the one that was kept")
