"""How the tool calls of an answer are named: a result is told to belong to a call by its id alone."""

from meshgate.dialects.answers import MalformedAnswerError


class CallNames:
    """Sees to it that each call of one answer says what it calls, and has an id of its own."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def id_of(self, name: str | None, said: str | None, made: str) -> str:
        """The id of the next call: what the upstream has `said`, or `made` where that is none or known.

        Raises:
            MalformedAnswerError: The call has no name.
        """
        if not name:
            raise MalformedAnswerError("a tool call of the upstream begins without a name")
        call_id = said if said and said not in self._ids else made
        while call_id in self._ids:
            call_id = f"{call_id}_{len(self._ids)}"
        self._ids.add(call_id)
        return call_id
