"""The context of a call that this package dispatches itself, without grpcio's server."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import grpc

Metadata = Sequence[tuple[str, str | bytes]]


class LocalContext(grpc.aio.ServicerContext[Any, Any]):
    """What servicers see of a call, the same as with grpcio's own server.

    Args:
        metadata: What the caller sent.
        seconds_left: Until the caller's deadline; None without one.
        peer: The caller's address.
    """

    def __init__(self, metadata: Metadata, seconds_left: float | None, peer: str) -> None:
        self._metadata = metadata
        self._deadline = None if seconds_left is None else time.monotonic() + seconds_left
        self._peer = peer
        self.status_code: grpc.StatusCode | None = None
        self.status_details = ""
        self.initial: Metadata = ()
        self.trailing: Metadata = ()

    def invocation_metadata(self) -> Any:
        return self._metadata

    def time_remaining(self) -> float | None:  # type: ignore[override]
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    def peer(self) -> str:
        return self._peer

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Kept until the first message: an early abort must stay a bare status."""
        self.initial = (*self.initial, *initial_metadata)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        self.status_code, self.status_details = code, details
        if trailing_metadata:
            self.trailing = tuple(trailing_metadata)
        raise grpc.aio.AbortError(details)

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details, status.trailing_metadata)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self.trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        return self.trailing

    def set_code(self, code: grpc.StatusCode) -> None:
        self.status_code = code

    def code(self) -> Any:
        return self.status_code

    def set_details(self, details: str) -> None:
        self.status_details = details

    def details(self) -> str:
        return self.status_details

    async def read(self) -> NoReturn:
        raise NotImplementedError("requests are iterated over, not read")

    async def write(self, message: Any) -> NoReturn:
        raise NotImplementedError("answers are yielded, not written")

    def set_compression(self, compression: grpc.Compression) -> None:
        raise NotImplementedError("compression is Envoy's")

    def disable_next_message_compression(self) -> None:
        raise NotImplementedError("compression is Envoy's")

    def peer_identities(self) -> None:
        return None

    def peer_identity_key(self) -> None:
        return None

    def auth_context(self) -> Any:
        return {}

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        raise NotImplementedError("use try and finally")

    def cancelled(self) -> bool:
        raise NotImplementedError("a cancelled call is told by CancelledError")

    def done(self) -> bool:
        raise NotImplementedError("a call is done when its handler is")
