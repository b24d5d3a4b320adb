"""The last part of every --help."""


def examples(*commands: str) -> str:
    """The epilog that shows commands as they are typed."""
    # click wraps text into paragraphs, but for those that begin with this mark.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
