"""Which certificates an upstream may prove itself with."""

import ssl


def trust(ca_pem: bytes | None) -> ssl.SSLContext:
    """What trusts the authorities in `ca_pem`; None trusts the system's.

    Raises:
        ValueError: There is no certificate in it.
    """
    if ca_pem is None:
        return ssl.create_default_context()
    # What is not ASCII can only stand between the certificates.
    text = ca_pem.decode("ascii", errors="ignore")
    try:
        # A blank text would count as none given, and trust the system's.
        return ssl.create_default_context(cadata=text or "nothing")
    except ssl.SSLError:
        raise ValueError("the certificates cannot be used") from None
