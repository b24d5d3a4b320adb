"""HTTP without TLS, as the tests speak it on this machine."""

import ssl

# Clients that are given none read all the certificates of the machine, which costs more than a request.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify=` of clients."""
