"""Logs and metrics of a process."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from http.server import ThreadingHTTPServer
from typing import Any

import msgspec
import structlog
from prometheus_client import start_http_server

LEVELS = ("debug", "info", "warning", "error")

_encoder = msgspec.json.Encoder(enc_hook=repr)


def configure_logs(service: str, level: str = "info") -> None:
    """One JSON object a line on stderr. Prompts and secrets are never logged."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Named(service),
        _describe_exception,
    ]
    renderer = structlog.processors.JSONRenderer(serializer=_serialize)
    _configure_libraries([*processors, renderer])
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _configure_libraries(processors: list[Any]) -> None:
    """What libraries log, warnings and worse, goes out in the same form."""
    handler = logging.StreamHandler(sys.stderr)
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[without_meta, *processors])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Named:
    """Adds the name of the service to each line."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["service"] = self._service
        return event


def _describe_exception(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    raised = event.pop("exc_info", None)
    error = raised[1] if isinstance(raised, tuple) else raised
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event.update(described(error))
    return event


def _serialize(event: dict[str, Any], **_: Any) -> str:
    return _encoder.encode(event).decode()


def described(error: BaseException) -> dict[str, str]:
    """What may be logged of an unexpected exception.

    Its type and place, not its text: that may hold what a prompt or a secret says.
    """
    return {
        "exception": type(error).__qualname__,
        "traceback": "".join(traceback.format_tb(error.__traceback__)),
    }


def serve_metrics(address: str) -> ThreadingHTTPServer:
    """Serve Prometheus metrics at `host:port`, from a thread of its own; shut it down at the end.

    Raises:
        OSError: The address is taken.
    """
    host, _, port = address.rpartition(":")
    try:
        server, _thread = start_http_server(int(port), host.strip("[]"))
    except OSError as error:
        raise OSError(f"cannot serve metrics at {address}: {error.strerror}") from error
    return server  # type: ignore[return-value]
