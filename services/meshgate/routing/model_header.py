"""The name of the model that answered, as a header."""

from urllib.parse import quote


def model_header(name: str) -> tuple[str, str]:
    """`x-meshgate-model`: percent-encoded where it is not ASCII."""
    return "x-meshgate-model", name if name.isascii() else quote(name)
