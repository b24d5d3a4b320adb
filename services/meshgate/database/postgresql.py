"""What is particular to PostgreSQL and to its driver."""

import asyncpg
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_CLOSE_SECONDS = 0.2

ERRORS: tuple[type[Exception], ...] = (asyncpg.PostgresError, asyncpg.InterfaceError)
"""What the driver raises by itself, past SQLAlchemy."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that does not wait long for a goodbye: the server may be gone."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - theirs
        await super().close(timeout=min(timeout or _CLOSE_SECONDS, _CLOSE_SECONDS))


def engine(url: URL, owner: str, wait_seconds: float, most_connections: int) -> AsyncEngine:
    """Connections whose every wait is bounded, here and at the server."""
    milliseconds = str(round(wait_seconds * 1_000))
    return create_async_engine(
        url,
        pool_size=most_connections,
        max_overflow=0,
        pool_timeout=wait_seconds,
        pool_pre_ping=True,
        connect_args={
            "timeout": wait_seconds,
            "connection_class": _Connection,
            "server_settings": {
                "application_name": f"meshgate-{owner}",
                # The server must not go on with what nobody waits for any more.
                "statement_timeout": milliseconds,
                "lock_timeout": milliseconds,
                "idle_in_transaction_session_timeout": str(10 * round(wait_seconds * 1_000)),
            },
        },
        hide_parameters=True,
    )
