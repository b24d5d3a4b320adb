"""How much of a response is kept in memory.

The last event of a stream says all of the answer again, so all of it has to be kept. An answer that is
larger than may be kept fails, clearly and at once: an end that tells less than the answer would lie.
"""

MIB = 1024 * 1024

TEXT_LIMIT_BYTES = 8 * MIB
"""The most text of a stream that is written, in UTF-8."""

EVENT_LIMIT_BYTES = 64 * MIB
"""The largest event that is read: as large as a plain answer may be."""
