"""A cluster of real node processes on this machine, for tests, notebooks and the demo.

Processes are spawned, never forked, listen on free ports of the loopback interface, and end
with the cluster, also when the program that made it dies.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from itertools import combinations, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from softadastra.errors import InvalidStateError
from softadastra.runtime.listening import level_named
from softadastra.testing.child_process import ProcessState
from softadastra.testing.history import Verdict, WriteHistory, judge
from softadastra.testing.local_node import LocalNode
from softadastra.testing.roster import node_names, node_options, refuse_own, topology_of

__all__ = ["LocalCluster", "Topology", "wait_until"]

NODE_OPTIONS = frozenset(
    {
        "node_id",
        "wal_path",
        "enable_transport",
        "transport_host",
        "transport_port",
        "peers",
    }
)
"""The options of `ClientOptions` that differ between the nodes, or that a cluster lives from."""

POLL_SECONDS = 0.02
"""Between two looks at a condition: below what a person sees, and little work for the nodes."""


class Topology(StrEnum):
    """Who dials whom when the cluster opens."""

    MESH = "mesh"
    """Every two nodes."""
    LINE = "line"
    """Each node the next one: node-a and node-c meet through node-b only."""
    APART = "apart"
    """Nobody; see `LocalNode.connect`."""


class LocalCluster:
    """Several nodes, each in a process of its own, with the faults that a network of them has.

        with LocalCluster(3) as cluster:
            a, b, c = cluster.nodes
            b.pause()
            a.put("message/1", "hello")
            c.kill()
            c.restart()
            b.resume()
            assert cluster.wait_converged(timeout=30)
            assert cluster.judge().is_clean

    Leaving the block closes all nodes; on an exception they are killed. Safe to use from any
    thread, but for opening and closing.

    Args:
        nodes_count: how many nodes, 1 to 26, named node-a, node-b and so on.
        directory: of the write-ahead logs (node-a.wal) and of what the processes log
            (node-a.log, JSON lines); made when it is missing, kept afterwards. None: a
            temporary one that is removed at the end.
        topology: who dials whom at the start.
        log_level: of the log files: "debug", "info", "warning" or "error".
        options: fields of `ClientOptions` for all nodes, as `auto_tick=False`, of values that
            JSON carries.

    Raises:
        InvalidArgumentError: an argument is out of range, or an option is not for all nodes, or
            none at all.
    """

    def __init__(
        self,
        nodes_count: int,
        *,
        directory: Path | str | None = None,
        topology: Topology | str = Topology.MESH,
        log_level: str = "info",
        **options: object,
    ) -> None:
        self._names = node_names("local", nodes_count)
        self._topology = topology_of(Topology, topology)
        level_named(log_level)
        refuse_own(options.keys(), NODE_OPTIONS)
        for name in self._names:
            node_options(name, options)
        self.history = WriteHistory()
        """Every write that was sent through the cluster's nodes."""
        self.nodes: tuple[LocalNode, ...] = ()
        """The nodes in order, from `open()` on."""
        self._given_directory = directory
        self._log_level = log_level
        self._options = options
        self._opened: ExitStack | None = None

    def open(self) -> None:
        """Start all processes, wait until they are ready, and connect them.

        Raises:
            InvalidStateError: the cluster was opened before.
            SoftadastraError: a node could not start; the others were ended.
        """
        if self.nodes:
            raise InvalidStateError("a local cluster is opened once; make a new one")
        with ExitStack() as opened:
            directory = self._make_directory(opened)
            self.nodes = tuple(
                LocalNode(
                    name,
                    directory,
                    options=self._options,
                    log_level=self._log_level,
                    history=self.history,
                )
                for name in self._names
            )
            for node in self.nodes:
                opened.callback(node.kill)
                node.start()
            for node in self.nodes:
                node.wait_ready()
            for node, other in self._links():
                node.connect(other)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close all nodes and end their processes. Idempotent.

        Raises:
            InternalError: a process ended with an error, which its log explains.
        """
        if self._opened is not None:
            with self._opened:
                self._opened = None
                for node in self.nodes:
                    node.close()

    def wait_converged(self, timeout: float) -> bool:
        """Wait until the nodes that are running hold the same state.

        Exact as long as nothing is written meanwhile: the nodes are asked one after the other,
        but each holds its own writes, so that equal digests mean that all have all.

        Args:
            timeout: seconds.

        Returns:
            Whether they do; False when the time ran out.
        """
        running = [node for node in self.nodes if node.state is ProcessState.RUNNING]
        return wait_until(lambda: len({node.digest() for node in running}) == 1, timeout)

    def judge(self) -> Verdict:
        """Compare all that every node holds with all that was ever written to them.

        All nodes must be running and have converged, and nothing may be written meanwhile. A
        cluster on a directory with earlier data calls that data invented.
        """
        return judge(self.history, {node.node_id: node.packed_items() for node in self.nodes})

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif self._opened is not None:
            # A test that failed, or Ctrl-C, must not wait for nodes that may be stuck.
            self._opened.close()
            self._opened = None

    def _make_directory(self, opened: ExitStack) -> Path:
        if self._given_directory is None:
            directory = Path(tempfile.mkdtemp(prefix="softadastra-"))
            opened.callback(shutil.rmtree, directory)
            return directory
        directory = Path(self._given_directory)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _links(self) -> list[tuple[LocalNode, LocalNode]]:
        match self._topology:
            case Topology.MESH:
                return list(combinations(self.nodes, 2))
            case Topology.LINE:
                return list(pairwise(self.nodes))
            case Topology.APART:
                return []


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Look at a condition until it holds.

    Args:
        condition: cheap to look at; asked every 20 ms, at least once.
        timeout: seconds.

    Returns:
        Whether it held; False when the time ran out.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
