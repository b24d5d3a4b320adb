"""Servers that answer with given bytes, whatever they are asked."""

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager


def answering(answer, seen=None):
    """Answers every request with the same bytes, then closes; notes what was asked."""

    async def serve(reader, writer):
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if seen is not None:
                seen.append(request)
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


@asynccontextmanager
async def raw_server(serve, context=None):
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def tls_server(directory, serve):
    """As `raw_server`, with TLS; gives its URL and the certificate of its authority."""
    ca, certificate = directory / "ca", directory / "server"
    _openssl("req -x509 -nodes -days 2 -subj /CN=test-authority", ca, out=ca)
    _openssl("req -nodes -subj /CN=127.0.0.1", certificate, out=certificate, kind="csr")
    names = directory / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    _run(
        f"openssl x509 -req -days 2 -in {certificate}.csr -CA {ca}.pem -CAkey {ca}.key "
        f"-CAcreateserial -extfile {names} -out {certificate}.pem"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
    async with raw_server(serve, context) as url:
        yield url, ca.with_suffix(".pem").read_bytes()


def _openssl(command, key, *, out, kind="pem"):
    _run(
        f"openssl {command} -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
        f"-keyout {key}.key -out {out}.{kind}"
    )


def _run(command):
    subprocess.run(command.split(), check=True, capture_output=True)
