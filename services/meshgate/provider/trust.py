"""Which certificates an upstream may prove itself with."""

import ssl
from functools import cache


def trust(ca_pem: bytes | None) -> ssl.SSLContext:
    """What trusts the authorities in `ca_pem`; None trusts the system's.

    Raises:
        ValueError: There is no certificate in it.
    """
    if ca_pem is None:
        return _trust_in_the_systems()
    # What is not ASCII can only stand between the certificates.
    text = ca_pem.decode("ascii", errors="ignore")
    try:
        # A blank text would count as none given, and trust the system's.
        return _speaking_http1(ssl.create_default_context(cadata=text or "nothing"))
    except ssl.SSLError:
        raise ValueError("the certificates cannot be used") from None


@cache
def _trust_in_the_systems() -> ssl.SSLContext:
    """One for all upstreams: there are more than a hundred, and reading them takes a while."""
    return _speaking_http1(ssl.create_default_context())


def _speaking_http1(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context
