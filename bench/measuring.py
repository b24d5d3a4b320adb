"""One gateway under load, once: the loads of a round, and what is checked on the way."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.counters import QUOTA_CALLS, counted
from bench.figures import (
    BESIDE_US,
    CONNECTIONS,
    FEW_CHUNKS,
    MANY_CHUNKS,
    Cost,
    Figures,
    chunk_us,
    spent,
    stream_us,
)
from bench.gateways import Running
from bench.loading import Generator, Load, LoadError, plain, streamed
from bench.processes import cpu_seconds

PLAIN_SECONDS = {1: 1.5, 16: 2.0, 64: 4.0}
DIRECT_SECONDS = 0.8
STREAMS = 32
STREAM_SECONDS = {FEW_CHUNKS: 2.5, MANY_CHUNKS: 4.0}
WARM_UP_SECONDS = 2.5


@dataclass(frozen=True)
class Bed:
    """Where gateways are measured.

    Args:
        generator: Makes the load.
        mock_url: The mock's origin.
        scale: Multiplies the length of every load.
    """

    generator: Generator
    mock_url: str
    scale: float

    def load(
        self,
        url: str,
        body: dict[str, Any],
        connections: int,
        seconds: float,
        headers: Mapping[str, str],
    ) -> Load:
        return self.generator.run(url, body, connections, seconds * self.scale, headers)

    def direct(self) -> dict[int, Load]:
        """The mock without a gateway, by number of connections: what latency is added to."""
        url = f"{self.mock_url}/v1/chat/completions"
        return {c: self.load(url, plain(), c, DIRECT_SECONDS, {}) for c in CONNECTIONS}

    def answered(self) -> int:
        """How many chats the mock has answered so far, streamed ones included."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.mock_url}/stats", timeout=5) as answer:
            said = json.load(answer)
        return int(said["chat"] + said["stream"])


@dataclass(frozen=True)
class Round:
    """Measures one gateway once.

    Args:
        bed: Where.
        gateway: What.
        faults: Gets a sentence for all that is not as it must be.
        beside: Plain Envoy, to be loaded right before and after; None where there is nothing to be
            compared with.
    """

    bed: Bed
    gateway: Running
    faults: list[str]
    beside: Running | None = None

    def warm_up(self) -> None:
        """Fills caches and pools; what goes wrong counts."""
        self._load("warm-up", plain(), 16, WARM_UP_SECONDS)

    def figures(self, direct: Mapping[int, Load]) -> Figures:
        """Loads the gateway in every way. Raises LoadError when nothing can be measured."""
        return self._plain(direct) | self._streamed()

    def _plain(self, direct: Mapping[int, Load]) -> Figures:
        figures: Figures = {}
        for connections in CONNECTIONS:
            most = connections == CONNECTIONS[-1]
            beside = self._beside() if most else []
            asked = counted(QUOTA_CALLS, self.gateway.metrics)
            load, cost = self._load(
                f"plain c={connections}", plain(), connections, PLAIN_SECONDS[connections]
            )
            bare = direct[connections]
            figures |= {
                f"rps_{connections}": load.requests_per_second,
                f"added_p50_ms_{connections}": (load.p50_us - bare.p50_us) / 1e3,
                f"added_p99_ms_{connections}": (load.p99_us - bare.p99_us) / 1e3,
                f"cpu_us_{connections}": cost.us_per_request,
            }
            if most:
                figures |= {
                    f"cpu_{kind}_us": cost.us_per_request_of(kind)
                    for kind in ("envoy", "python", "other")
                }
                asked = counted(QUOTA_CALLS, self.gateway.metrics) - asked
                figures["quota_calls"] = asked / load.requests * 1e3
                beside += self._beside()
                if beside:
                    figures[BESIDE_US] = fmean(beside)
        return figures

    def _beside(self) -> list[float]:
        """What plain Envoy takes for a request at this moment: machines have moods."""
        if self.beside is None:
            return []
        seconds = PLAIN_SECONDS[CONNECTIONS[-1]] / 2
        other = Round(self.bed, self.beside, self.faults)
        _, cost = other._load("plain Envoy", plain(), CONNECTIONS[-1], seconds)
        return [cost.us_per_request]

    def _streamed(self) -> Figures:
        costs = {}
        for chunks in (FEW_CHUNKS, MANY_CHUNKS):
            name = f"streams of {chunks} chunks"
            load, costs[chunks] = self._load(
                name, streamed(chunks), STREAMS, STREAM_SECONDS[chunks]
            )
            if load.events < load.requests * chunks:
                mean = load.events / load.requests
                self.faults.append(f"{name}: only {mean:.1f} events in an answer")
        few, many = costs[FEW_CHUNKS], costs[MANY_CHUNKS]
        return {"chunk_us": chunk_us(few, many), "stream_us": stream_us(few, many)}

    def _load(
        self, name: str, body: dict[str, Any], connections: int, seconds: float
    ) -> tuple[Load, Cost]:
        """One load and its cost; each answer must have cost the mock one, and none may fail."""
        answered, before = self.bed.answered(), cpu_seconds(self.gateway.pid)
        try:
            load = self.bed.load(
                self.gateway.chat_url, body, connections, seconds, self.gateway.headers
            )
        except LoadError as error:
            raise LoadError(f"{name}: {error}") from error
        cost = Cost(load.requests, spent(before, cpu_seconds(self.gateway.pid)))
        calls = (self.bed.answered() - answered) / (load.requests + load.failed)
        if load.failed:
            self.faults.append(f"{name}: {load.failed} failures beside {load.requests} answers")
        elif abs(calls - 1) > 0.05:
            self.faults.append(f"{name}: {calls:.2f} upstream calls for a request")
        return load, cost
