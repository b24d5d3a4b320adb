"""Sizes and counts that bound what one caller may ask of a server."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Envoy lets bodies of 64 MiB and 60 KB of headers in; what wraps them needs a little more.
    """

    message_bytes: int = 72 * MIB
    metadata_bytes: int = 96 * 1024
    concurrent_streams: int = 10_000
