"""`python -m meshgate.config reference` writes the reference page to standard output."""

import sys

from meshgate.config.reference import markdown


def main(arguments: list[str]) -> int:
    """The exit status."""
    if arguments != ["reference"]:
        sys.stderr.write("usage: python -m meshgate.config reference > docs/configuration.md\n")
        return 2
    sys.stdout.write(markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
