"""What the supervisor has to say to Envoy, through its admin socket."""

from pathlib import Path

from meshgate.cli import local_http

_SECONDS = 2.0


class EnvoyAdmin:
    """Envoy's admin interface. An Envoy that does not run has nothing to be told."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def close_door(self) -> None:
        """Take no more connections, and ask clients to let go of those that there are."""
        await self._post("/healthcheck/fail", "/drain_listeners")

    async def reopen_logs(self) -> None:
        """Write to the access log's path again, whatever became of the file that was there."""
        await self._post("/reopen_logs")

    async def _post(self, *paths: str) -> None:
        try:
            for path in paths:
                await local_http.post(self._socket, path, _SECONDS)
        except local_http.ERRORS:
            return
