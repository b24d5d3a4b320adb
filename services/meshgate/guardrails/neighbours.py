"""What stands beside a candidate."""


def before(data: bytes, at: int) -> bytes:
    """The byte before a place; nothing at the beginning."""
    return data[at - 1 : at] if at else b""


def after(data: bytes, at: int) -> bytes:
    """The byte from a place on; nothing at the end."""
    return data[at : at + 1]


def is_word(character: bytes) -> bool:
    """Whether it is a letter or digit of ASCII, or an underscore."""
    return character.isalnum() or character == b"_"
