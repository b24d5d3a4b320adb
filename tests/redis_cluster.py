"""A Redis Cluster of six local Valkeys for tests: three primaries, each with a replica.

The fixture `redis_cluster` is one cluster for the whole run; each test begins with all nodes alive and
empty. `kill_primary(slot)` begins a failover, `await_failover(slot)` waits until another node serves the
slot (about three seconds), and `restart(node)` brings the killed one back as a replica. What waits blocks:
call it by `asyncio.to_thread` where something else must go on meanwhile.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis_servers import RedisServer, until

from meshgate.cli.ports import free_port
from meshgate.cli.redis_server import find_server

SLOTS = 16_384
_PRIMARIES = 3
_NODES = 6
_STARTS = 3


class ClusterNode(RedisServer):
    """A node of a cluster; its roles change."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self.bus_port = free_port()
        super().__init__(
            binary,
            directory,
            cluster_enabled="yes",
            cluster_port=str(self.bus_port),
            cluster_node_timeout="1500",
            repl_diskless_sync_delay="0",
        )

    def command(self, *arguments: str | int) -> Any:
        """Say something to this node alone."""
        with self.control() as client:
            return client.execute_command(*arguments)

    def view(self) -> dict[str, dict[str, Any]]:
        """What this node knows of all, by `127.0.0.1:port`."""
        nodes: dict[str, dict[str, Any]] = self.command("CLUSTER NODES")
        return nodes

    @property
    def id(self) -> str:
        return str(self.command("CLUSTER", "MYID").decode())


class RedisCluster:
    """A cluster; one at a time of its nodes may be away."""

    is_cluster = True
    has_waitaof = True

    def __init__(self, directory: Path) -> None:
        binary = find_server()
        self.nodes = [ClusterNode(binary, directory / str(n)) for n in range(_NODES)]

    @property
    def url(self) -> str:
        """Where to begin, as the product is told."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def client(self, **options: Any) -> redis.asyncio.RedisCluster:
        """A client, to be used as a context manager."""
        nodes = [redis.asyncio.cluster.ClusterNode("127.0.0.1", node.port) for node in self.nodes]
        return redis.asyncio.RedisCluster(startup_nodes=nodes, **options)

    def start(self) -> None:
        """Start the nodes and make a cluster of them."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            until(node.answers, "the start of a node")
        self._share_slots()
        self._introduce()
        self._appoint_replicas()
        self.await_whole()

    def kill(self) -> None:
        """End all nodes at once, with kill -9."""
        for node in self.nodes:
            node.kill()

    def primary(self, slot: int) -> ClusterNode:
        """The node that serves a slot; the dead one until another has taken over."""
        for address, seen in self._witness().view().items():
            if any(int(low) <= slot <= int(high) for low, high in _ranges(seen)):
                return self._at(address)
        raise AssertionError(f"nobody serves slot {slot}")

    def kill_primary(self, slot: int) -> ClusterNode:
        """End the node that serves a slot, with kill -9; give it for `restart`."""
        primary = self.primary(slot)
        primary.kill()
        return primary

    def await_failover(self, slot: int) -> ClusterNode:
        """Wait until a living node serves the slot, and all living nodes know; give it."""
        alive = [node for node in self.nodes if node.is_alive]
        until(lambda: self.primary(slot).is_alive, f"a failover of slot {slot}")
        until(lambda: all(_is_ok(node) for node in alive), "a cluster that is well")
        return self.primary(slot)

    def restart(self, node: ClusterNode) -> None:
        """Start a node again: same port, same append-only file. It joins as a replica, in a while."""
        node.restart()

    def await_whole(self) -> None:
        """Wait until all nodes live, know each other, and every replica follows its primary."""
        until(lambda: all(_is_ok(node) for node in self.nodes), "a cluster that is well")
        until(lambda: all(_is_settled(node) for node in self.nodes), "replicas that follow")

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """No node has memory left in the block: reads are answered, writes are refused."""
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node.full())
            yield

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """No node answers in the block; keep it under a second, or primaries are given up for dead."""
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node.frozen())
            yield

    def clean(self) -> None:
        """Make it whole and empty, whatever was done to it."""
        for node in self.nodes:
            if not node.is_alive:
                node.start()
        self.await_whole()
        for node in self._primaries():
            node.clean()

    def _share_slots(self) -> None:
        bounds = [SLOTS * n // _PRIMARIES for n in range(_PRIMARIES + 1)]
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < _PRIMARIES:
                first, last = bounds[number], bounds[number + 1] - 1
                node.command("CLUSTER", "ADDSLOTSRANGE", first, last)

    def _introduce(self) -> None:
        first = self.nodes[0]
        for node in self.nodes[1:]:
            first.command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        until(lambda: all(_knows_all(node) for node in self.nodes), "nodes that know each other")

    def _appoint_replicas(self) -> None:
        for number, node in enumerate(self.nodes[_PRIMARIES:]):
            node.command("CLUSTER", "REPLICATE", self.nodes[number].id)

    def _primaries(self) -> list[ClusterNode]:
        view = self._witness().view()
        return [self._at(address) for address, seen in view.items() if "master" in _flags(seen)]

    def _witness(self) -> ClusterNode:
        return next(node for node in self.nodes if node.is_alive)

    def _at(self, address: str) -> ClusterNode:
        return next(node for node in self.nodes if address == f"127.0.0.1:{node.port}")


def _flags(seen: dict[str, Any]) -> list[str]:
    return str(seen["flags"]).split(",")


def _ranges(seen: dict[str, Any]) -> list[tuple[str, str]]:
    return [(slots[0], slots[-1]) for slots in seen["slots"]] if "master" in _flags(seen) else []


def _is_ok(node: ClusterNode) -> bool:
    with node.control() as client:
        return bool(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")


def _knows_all(node: ClusterNode) -> bool:
    view = node.view()
    return len(view) == _NODES and not any("handshake" in _flags(seen) for seen in view.values())


def _is_settled(node: ClusterNode) -> bool:
    """Whether in its eyes nobody is missing, and its own primary, if it has one, feeds it."""
    seen = list(node.view().values())
    flags = [flag for one in seen for flag in _flags(one)]
    if "fail" in flags or "fail?" in flags or not all(one["connected"] for one in seen):
        return False
    if flags.count("master") != _PRIMARIES or flags.count("slave") != _NODES - _PRIMARIES:
        return False
    with node.control() as client:
        replication: dict[str, Any] = client.info("replication")
    return replication["role"] == "master" or replication["master_link_status"] == "up"


@contextlib.contextmanager
def running_cluster(directory: Path) -> Iterator[RedisCluster]:
    """A cluster for the block."""
    cluster = _started(directory)
    try:
        yield cluster
    finally:
        cluster.kill()


def _started(directory: Path) -> RedisCluster:
    """A cluster that runs. A port may be taken between its choice and its use: then others are tried."""
    for attempt in range(1, _STARTS):
        cluster = RedisCluster(directory / str(attempt))
        try:
            cluster.start()
        except AssertionError:
            cluster.kill()
        else:
            return cluster
    cluster = RedisCluster(directory / str(_STARTS))
    cluster.start()
    return cluster


@pytest.fixture(scope="session")
def _cluster_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(_cluster_processes: RedisCluster) -> RedisCluster:
    _cluster_processes.clean()
    return _cluster_processes
