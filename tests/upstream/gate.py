"""Holds an answer back, step by step, until the test lets it go on."""

from upstream.notice import Notice


class Gate:
    """The head of an answer is its step 0, the events of a stream are the steps from 1.

    A gate starts shut and may be shared by several answers, which then take turns.
    """

    def __init__(self) -> None:
        self.waiting_at: int | None = None
        self._allowed = 0.0
        self._notice = Notice()

    def let(self, steps: float = 1) -> None:
        """Lets that many more steps through."""
        self._allowed += steps
        self._notice.tell()

    def open(self) -> None:
        """Lets everything through from now on."""
        self.let(float("inf"))

    async def reached(self, step: int) -> None:
        """Waits until the answer stands before `step`.

        Raises:
            TimeoutError: It did not come that far.
        """
        await self._notice.until(lambda: self.waiting_at is not None and self.waiting_at >= step)

    async def passing(self, step: int) -> None:
        """The upstream's side: waits for its turn."""
        self.waiting_at = step
        self._notice.tell()
        await self._notice.whenever(lambda: self._allowed > 0)
        self._allowed -= 1
