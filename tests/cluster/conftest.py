"""A real Ray cluster of two nodes on this machine. Every process of it is gone afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

# Ray reads these once, when it is imported: no usage statistics, and a token for these nodes alone.
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0f" * 32,
}

_END_S = 30.0
NO_RAY = "Ray is not installed here: make test-cluster"


def children(pid: int) -> list[int]:
    """A process's children, their children and so on."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in thread.read_text().split()]
        except OSError:
            continue
    return [one for child in found for one in (child, *children(child))]


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Nodes:
    """The machine's nodes; `cpus` of them are logical, as Ray counts them."""

    cluster: Cluster
    seen: set[int] = field(default_factory=set)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, cpus: int) -> Node:
        """One more node."""
        node = self.cluster.add_node(num_cpus=cpus, object_store_memory=100 << 20)
        self.look()
        return node

    def kill(self, node: Node) -> None:
        """End a node with everything that runs on it at once, as a power failure does."""
        self.look()
        roots = [one.process.pid for all_of in node.all_processes.values() for one in all_of]
        for pid in [pid for root in roots for pid in (*children(root), root)]:
            os.kill(pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def look(self) -> None:
        """Remember the processes that are there."""
        self.seen.update(children(os.getpid()))


@contextmanager
def started(*cpus: int) -> Iterator[Nodes]:
    """A cluster with a node for each number of processors; the first is the head."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cpus[0], "include_dashboard": False, "object_store_memory": 100 << 20}
    before = set(children(os.getpid()))
    nodes = Nodes(Cluster(initialize_head=True, head_node_args=head))
    try:
        for more in cpus[1:]:
            nodes.add(more)
        yield nodes
    finally:
        nodes.look()
        nodes.cluster.shutdown()
    gone(nodes.seen - before)


def gone(pids: Iterable[int]) -> None:
    """Wait until none of these processes runs."""
    deadline = time.monotonic() + _END_S
    while left := [pid for pid in pids if runs(pid)]:
        assert time.monotonic() < deadline, f"processes of Ray are left: {left}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head and one more node, for tests that kill neither."""
    pytest.importorskip("ray", reason=NO_RAY)
    with started(4, 4) as found:
        yield found
