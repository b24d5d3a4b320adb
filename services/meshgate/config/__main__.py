"""`python -m meshgate.config reference|providers` writes a page to standard output."""

import sys

from meshgate.config import reference
from meshgate.config.openai_family import page

_PAGES = {"reference": reference.markdown, "providers": page.markdown}


def main(arguments: list[str]) -> int:
    """The exit status."""
    write = _PAGES.get(arguments[0]) if len(arguments) == 1 else None
    if write is None:
        sys.stderr.write(
            "usage: python -m meshgate.config reference > docs/configuration.md\n"
            "       python -m meshgate.config providers > docs/providers.md\n"
        )
        return 2
    sys.stdout.write(write())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
