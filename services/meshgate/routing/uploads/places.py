"""How many uploads may be under way in this process: each may take 25 MiB of disk."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from meshgate.runtime.errors import ServiceUnavailableError

MOST_UPLOADS = 128
MOST_OF_ONE_CALLER = 32
_RETRY_SECONDS = 1


class UploadPlaces:
    """Places for uploads, of which no caller may take all.

    Args:
        most: For all callers together.
        most_of_one: For each.
    """

    def __init__(self, most: int = MOST_UPLOADS, most_of_one: int = MOST_OF_ONE_CALLER) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """A place for as long as an upload is under way.

        Args:
            caller: Whose it is; `Principal.principal_id`.

        Raises:
            ServiceUnavailableError: There is none left.
        """
        if self._taken.total() >= self._most:
            raise _too_many("too many uploads are under way")
        if self._taken[caller] >= self._most_of_one:
            raise _too_many(
                f"{self._most_of_one} uploads of this caller are under way, which are as many as may be"
            )
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]


def _too_many(message: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(message, retry_after_seconds=_RETRY_SECONDS)
