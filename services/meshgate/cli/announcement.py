"""What people and scripts are told when the gateway serves."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshgate.cli.data_directory import write_private
from meshgate.cli.mesh import Mesh, Plan
from meshgate.cli.redis_server import without_password


@dataclass(frozen=True)
class Announcement:
    """The news that the gateway serves.

    Attributes:
        plan: What runs.
        logs: Where the processes' logs lie.
        admin_key_file: None where the admin key was in the environment.
        ready_file: Holds the news for scripts, if anywhere.
        model: One that can be asked for.
    """

    plan: Plan
    logs: Path
    admin_key_file: Path | None
    ready_file: Path | None
    model: str

    def json(self, mesh: Mesh) -> str:
        """For scripts, in one line that anybody may see."""
        urls = (mesh.redis_url(), mesh.cache_redis_url())
        return self._json(mesh, *(url and without_password(url) for url in urls))

    def _json(self, mesh: Mesh, redis_url: str | None, cache_redis_url: str | None) -> str:
        news: dict[str, Any] = {
            "base_url": self.plan.base_url,
            "grpc_target": self.plan.grpc_target,
            "admin_key_file": self.admin_key_file and str(self.admin_key_file),
            "redis_url": redis_url,
            "cache_redis_url": cache_redis_url,
            "pids": mesh.pids(),
            "metrics": mesh.metrics(),
            "envoy_admin": f"unix:{self.plan.admin_socket}",
            "logs": str(self.logs),
        }
        return json.dumps(news)

    def text(self, _mesh: Mesh) -> str:
        """For people: one line, and something to try."""
        place = key = "$MESHGATE_ADMIN_KEY"
        if self.admin_key_file is not None:
            place = shlex.quote(str(self.admin_key_file))
            key = f"$(cat {place})"
        question = {"model": self.model, "messages": [{"role": "user", "content": "Hello!"}]}
        return (
            f"Meshgate is ready on {self.plan.base_url} (admin key: {place}). Try:\n"
            f"  curl {self.plan.base_url}/v1/chat/completions \\\n"
            f'    -H "authorization: Bearer {key}" -H "content-type: application/json" \\\n'
            f"    -d {shlex.quote(json.dumps(question))}"
        )

    def write(self, mesh: Mesh) -> None:
        """Write the ready file, all at once; its owner alone may read it."""
        if self.ready_file is not None:
            news = self._json(mesh, mesh.redis_url(), mesh.cache_redis_url())
            write_private(self.ready_file, news + "\n")

    def renew(self, mesh: Mesh) -> None:
        """Write the ready file again, if it was written: a process has changed."""
        if self.ready_file is not None and self.ready_file.exists():
            self.write(mesh)

    def forget(self) -> None:
        """Remove the ready file."""
        if self.ready_file is not None:
            self.ready_file.unlink(missing_ok=True)
