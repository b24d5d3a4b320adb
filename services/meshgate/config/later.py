"""What the interface promises and this release does not do yet: refused, never ignored."""

from meshgate.config.problems import FieldPath

# `*` stands for any one step of a path.
FIELDS: frozenset[FieldPath] = frozenset(
    {
        ("models", "*", "parameters"),
    }
)
VALUES: dict[FieldPath, frozenset[str]] = {
    ("models", "*", "cache", "mode"): frozenset({"semantic"}),
    ("models", "*", "strategy"): frozenset({"least-latency", "least-busy", "lowest-cost"}),
}


def is_later_field(path: FieldPath) -> bool:
    """Whether a coming release will know the field."""
    return any(_matches(pattern, path) for pattern in FIELDS)


def is_later_value(path: FieldPath, value: str) -> bool:
    """Whether a coming release will know this value of the field."""
    return any(value in values for pattern, values in VALUES.items() if _matches(pattern, path))


def _matches(pattern: FieldPath, path: FieldPath) -> bool:
    return len(pattern) == len(path) and all(
        expected in ("*", step) for expected, step in zip(pattern, path, strict=True)
    )
