"""Posts by way of a client, and reads what comes."""

from contextlib import asynccontextmanager

from meshgate.provider.phases import PhaseClock, PhaseTimeouts

PLAIN = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
STREAMED = b'{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true}'
HEADERS = (("content-type", "application/json"), ("authorization", "Bearer sk-upstream"))
MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def posted(client, url, body=PLAIN, headers=HEADERS, **timeouts):
    clock = PhaseClock(PhaseTimeouts(**timeouts))
    try:
        async with client.post(url, headers, body, clock) as response:
            yield response
    finally:
        clock.close()


async def drain(client, url, **timeouts):
    """Reads a stream to its end."""
    async with posted(client, url, STREAMED, **timeouts) as response:
        return [chunk async for chunk in response.chunks()]


async def plain(client, url, body=PLAIN, limit_bytes=64 * MIB, **options):
    async with posted(client, url, body, **options) as response:
        return response.status, await response.read(limit_bytes)


def chat(upstream):
    return f"{upstream.base_url}/chat/completions"
