"""The story that the golden logs tell: three nodes, and all that is written into a log of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from softadastra.runtime.compaction import Compaction
from softadastra.testing import SimCluster, SimNode
from softadastra.types import Value
from softadastra.wal.disk import OpenMode
from softadastra.wal.frames import FILE_HEADER_BYTES, decode_file_header
from tests.vectors.plain import Plain
from tests.wal.golden.facts import facts_of

__all__ = ["EDITION", "SETTINGS", "Golden", "golden_logs"]

EDITION: Final = 2
"""Raised when a node writes something else than before: another kind of record, or another form."""

SETTINGS: Final[dict[str, Any]] = {"auto_queue": False, "conflict_policies": {"notes/": "manual"}}
"""What the node of the story is opened with."""

VALUES: Final[list[Value]] = [
    None,
    True,
    -1,
    1.5,
    "text",
    b"\x00\xff",
    [1, {"x": []}],
    datetime(2023, 11, 14, tzinfo=UTC),
]
MAX_OFFLINE_SECONDS: Final = 60.0
TIMEOUT_SECONDS: Final = 300.0


class Golden(NamedTuple):
    """A log, and what its node held when it closed it."""

    content: bytes
    facts: Plain


def golden_logs() -> dict[str, Golden]:
    """Play the story, and give the logs of node-a by name."""
    options = {**SETTINGS, "max_offline": MAX_OFFLINE_SECONDS}
    with SimCluster(3, seed=EDITION, **options) as cluster:
        begin(cluster)
        disagree(cluster)
        collect(cluster)
        be_away(cluster)
        be_set_back(cluster)
        be_left_alone(cluster)
        (a, *_) = cluster.nodes
        whole = closed(a)
        a.restart()
        compact(a)
        rejoin(cluster)
        return {"node": whole, "checkpoint": closed(a)}


def begin(cluster: SimCluster) -> None:
    """Values of every type, writes alone and together, and a peer's."""
    a, b, _ = cluster.nodes
    cluster.run(1)
    a.put("greeting", "hello from node-a")
    a.put_many((f"value/{i}", value) for i, value in enumerate(VALUES))
    a.put("gone", 1)
    for i in range(3):
        b.put("often", i)
    settle(cluster)


def disagree(cluster: SimCluster) -> None:
    """Conflicts: one that the later write wins, one that is left to people."""
    a, b, _ = cluster.nodes
    isolate(cluster)
    for node in (a, b):
        node.put("won by the later", node.node_id)
        cluster.run(1)
        node.put("notes/1", node.node_id)
    cluster.heal()
    settle(cluster)


def collect(cluster: SimCluster) -> None:
    """A remove that every member has goes, and the outbox is pruned."""
    a, *_ = cluster.nodes
    a.remove("gone")
    settle(cluster)
    cluster.wait_collected()
    a.tick(prune=True)


def be_away(cluster: SimCluster) -> None:
    """Node-a stays away until the others collect without it: it comes back to a snapshot.

    What they wrote anew does not name the remove that is collected, nor what that had removed.
    """
    a, b, _ = cluster.nodes
    a.put("anew", "before the remove")
    settle(cluster)
    a.kill()
    cluster.run(MAX_OFFLINE_SECONDS)
    b.remove("anew")
    b.queue_pending()
    cluster.wait_collected()
    b.put("anew", "after the remove")
    b.queue_pending()
    a.restart()
    a.put("in its second life", 2)
    settle(cluster)


def be_set_back(cluster: SimCluster) -> None:
    """Node-a is restored from an old copy, takes a new incarnation, and gets back what it lost."""
    a, *_ = cluster.nodes
    image = a.copy()
    a.put("lost and found", 3)
    settle(cluster)
    a.restore(image)
    a.restart()
    a.put("under a number that was used", 4)
    settle(cluster)
    a.tick(prune=True)


def be_left_alone(cluster: SimCluster) -> None:
    """A member is forgotten; writes wait for the other one, and one is held back."""
    a, b, c = cluster.nodes
    c.lose()
    for node in (a, b):
        node.forget(c.node_id)
    isolate(cluster)
    a.put("waits", 5)
    a.remove("greeting")
    a.put("often", 6)
    a.queue_pending()
    a.put("is held back", 7)
    cluster.run(10)


def compact(node: SimNode) -> None:
    """Rewrite the log, as the compactor does when most of it is obsolete."""
    life = node.running()
    for _ in Compaction(life.committer, life.log, mono_ms=lambda: 0).rewrite():
        pass


def rejoin(cluster: SimCluster) -> None:
    """The nodes that are left meet again, and part."""
    a, b, _ = cluster.nodes
    b.put("behind the checkpoint", 8)
    cluster.heal()
    settle(cluster)
    isolate(cluster)
    a.put("behind the checkpoint", 9)
    cluster.run(10)


def settle(cluster: SimCluster) -> None:
    """Let go what is held back, and let all nodes have it."""
    for node in cluster.nodes:
        if node.is_running:
            node.queue_pending()
    assert cluster.wait_converged(TIMEOUT_SECONDS)


def isolate(cluster: SimCluster) -> None:
    """Cut node-a off, until it knows."""
    a, *others = cluster.nodes
    for other in others:
        cluster.partition(a.node_id, other.node_id)
    cluster.run(10)


def closed(node: SimNode) -> Golden:
    """Close a node, and give its log and what it held."""
    life = node.running()
    facts = facts_of(life.engine)
    device, inode = life.log.identity
    node.close()
    file = node.disk.open(node.path, OpenMode.READING)
    content = file.pread(file.size(), 0)
    header, _ = decode_file_header(content[:FILE_HEADER_BYTES], node.path)
    about = {
        "node_id": header.node_id,
        "incarnation": header.incarnation,
        "generation": header.generation,
        "place": {"host": node.machine, "device": device, "inode": inode},
    }
    return Golden(content, about | facts)
