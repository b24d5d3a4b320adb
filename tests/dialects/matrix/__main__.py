"""Prints `docs/dialects.md`: `PYTHONPATH=services:gen:tests python -m dialects.matrix`."""

from dialects.matrix.page import written


def _main() -> None:
    print(written(), end="")  # noqa: T201 - this is its answer


if __name__ == "__main__":
    _main()
