"""What is measured of one cluster, in this order:

 1. the nodes meet; 10,000 keys of one node are everywhere already
 2. that node writes once, in a cluster at rest
 3. nothing is said: PING and PONG of four seconds, and one HAVE over each connection
 4. 100 nodes by chance write once each, all at the same moment
 5. one more node joins, and gets all the keys
 6. in another cluster of the same shape, whose nodes have written as many keys each, it does too

After 2 every node is told what a cluster that is up for long knows: of every other node, what
it has. Over the network that takes an anti-entropy interval per link of distance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.sync.messages import Report
from softadastra.testing.sim_schedule import chance

from .cluster import ROUND_TRIP_MS, Cluster
from .memory import Memory, memory_of
from .topology import Graph, Topology, graph_of, neighbours_of_newcomer

__all__ = ["PINGS_MS", "Join", "Quiet", "Result", "Spread", "measure"]

SEED = 1
LOADED_KEYS = 10_000
BURST_WRITES = 100
WRITER = 1
"""Not the node in the middle of a star."""
MEETING_MS = 1_500
REST_MS = 1_500
"""Longer than what is told late: a HAVE after 0.25 s, a relay after 1 s."""
PINGS_MS: Final = 4_000
LIMIT_MS = 60_000
GREETED_MAX = 100_000
"""Of origins in all greetings of a cluster. Each is told of again with what others have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What it cost that writes reached every node."""

    writes: int
    batches: int
    batch_bytes: int
    acks: int
    ack_bytes: int
    haves: int
    have_bytes: int
    copies: int
    """How often a write went over a link."""
    round_trips: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """What it costs to have nothing to say."""

    hello_bytes: int
    """The largest."""
    have_bytes: int
    """The largest."""
    links: int
    pings: int
    """PING and PONG."""
    ping_bytes: int
    haves: int
    haves_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What it cost that a new node got everything."""

    links: int
    keys: int
    batches: int
    batch_bytes: int
    other_bytes: int
    oversized: int
    """Messages that no link took."""
    copies: int
    round_trips: float

    @property
    def copies_a_key(self) -> float:
        """How often the newcomer got each key, on average."""
        return self.copies / self.keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All of one cluster."""

    topology: Topology
    count: int
    graph: Graph
    known_at_start: int
    """Of how many nodes one knew what they have, a second after the start; the least."""
    write: Spread
    quiet: Quiet
    burst: Spread
    join: Join
    join_of_all: Join | None
    """The same in a cluster whose nodes have each written a part of the keys."""
    memory: Memory
    memory_max: Memory
    """Of the node with the most connections."""


class Tally:
    """What was sent since it was made."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._messages = Counter(cluster.messages)
        self._sizes = Counter(cluster.sizes)
        self._crossings = cluster.crossings

    def messages(self, *kinds: str) -> int:
        return sum(self._cluster.messages[kind] - self._messages[kind] for kind in kinds)

    def sizes(self, *kinds: str) -> int:
        return sum(self._cluster.sizes[kind] - self._sizes[kind] for kind in kinds)

    @property
    def crossings(self) -> int:
        return self._cluster.crossings - self._crossings


def measure(topology: Topology, count: int) -> Result:
    """Simulate one cluster."""
    rng = chance(SEED, f"{topology.name} {count}")
    graph = graph_of(topology, count, rng)
    is_small = len(graph.edges) * count <= GREETED_MAX
    cluster = Cluster(count, SEED)
    cluster.load(WRITER, LOADED_KEYS)
    for one, other in graph.edges:
        cluster.join(cluster.nodes[one], cluster.nodes[other])
    cluster.schedule.run(MEETING_MS)
    known_at_start = min(len(node.engine.membership.collector.known) for node in cluster.nodes)
    write = spread(cluster, [WRITER])
    tell_of_everybody(cluster)
    quiet = silence(cluster, links=len(graph.edges))
    by_degree = sorted(cluster.nodes, key=lambda node: len(node.engine.connections.sessions))
    memory, memory_max = memory_of(by_degree[0].engine), memory_of(by_degree[-1].engine)
    burst = spread(cluster, [rng.randrange(count) for _ in range(BURST_WRITES)])
    join = newcomer(cluster, neighbours_of_newcomer(topology, count, rng))
    return Result(
        topology=topology,
        count=count,
        graph=graph,
        known_at_start=known_at_start,
        write=write,
        quiet=quiet,
        burst=burst,
        join=join,
        join_of_all=newcomer_of_all(topology, count) if is_small else None,
        memory=memory,
        memory_max=memory_max,
    )


def spread(cluster: Cluster, writers: list[int]) -> Spread:
    """Let nodes write, and wait until all is at rest again."""
    tally = Tally(cluster)
    cluster.put(writers)
    elapsed_ms = cluster.run_until_complete(LIMIT_MS)
    cluster.schedule.run(REST_MS)
    return Spread(
        writes=len(writers),
        batches=tally.messages("Batch"),
        batch_bytes=tally.sizes("Batch"),
        acks=tally.messages("Ack"),
        ack_bytes=tally.sizes("Ack"),
        haves=tally.messages("Have"),
        have_bytes=tally.sizes("Have"),
        copies=tally.crossings,
        round_trips=elapsed_ms / ROUND_TRIP_MS,
    )


def tell_of_everybody(cluster: Cluster) -> None:
    """Let every node know what every other has, as after hours."""
    replicas = [node.engine.replica for node in cluster.nodes]
    haves = [
        {replica.origins[number]: (log.base, list(log.ranges_beyond())) for number, log in logs}
        for replica in replicas
        for logs in [list(replica.haves())]
    ]
    for node in cluster.nodes:
        engine = node.engine
        reports = {
            replica.node_id: Report(0, dots_of(have))
            for replica, have in zip(replicas, haves, strict=True)
        }
        engine.membership.hear_of(reports, engine.connections.active, cluster.now)
        engine.members.told()


def dots_of(have: dict[Origin, tuple[int, list[tuple[int, int]]]]) -> dict[Origin, DotSet]:
    return {origin: DotSet(base, above) for origin, (base, above) in have.items()}


def silence(cluster: Cluster, *, links: int) -> Quiet:
    """Wait, then let each connection carry the HAVE of its interval."""
    pings = Tally(cluster)
    cluster.schedule.run(PINGS_MS)
    messages, sizes = pings.messages("Ping", "Pong"), pings.sizes("Ping", "Pong")
    assert not pings.messages("Batch", "Ack", "Have", "Hello"), "the cluster is at rest"
    haves = Tally(cluster)
    cluster.tell_now()
    cluster.schedule.run(ROUND_TRIP_MS)
    return Quiet(
        hello_bytes=cluster.largest["Hello"],
        have_bytes=cluster.largest["Have"],
        links=links,
        pings=messages,
        ping_bytes=sizes,
        haves=haves.messages("Have"),
        haves_bytes=haves.sizes("Have"),
    )


def newcomer(cluster: Cluster, neighbours: list[int]) -> Join:
    """Let one more node come, which holds nothing."""
    tally, oversized = Tally(cluster), cluster.oversized.total()
    node = cluster.add()
    for neighbour in neighbours:
        cluster.join(node, cluster.nodes[neighbour])
    elapsed_ms = cluster.run_until_complete(LIMIT_MS)
    cluster.schedule.run(REST_MS)
    return Join(
        links=len(neighbours),
        keys=cluster.keys,
        batches=tally.messages("Batch"),
        batch_bytes=tally.sizes("Batch"),
        other_bytes=tally.sizes("Ack", "Have", "Hello"),
        oversized=cluster.oversized.total() - oversized,
        copies=tally.crossings,
        round_trips=elapsed_ms / ROUND_TRIP_MS,
    )


def newcomer_of_all(topology: Topology, count: int) -> Join:
    """Let a node come to a cluster of which every node has written as many of the keys."""
    rng = chance(SEED, f"{topology.name} {count} all")
    cluster = Cluster(count, SEED)
    for writer in range(count):
        cluster.load(writer, LOADED_KEYS // count)
    for one, other in graph_of(topology, count, rng).edges:
        cluster.join(cluster.nodes[one], cluster.nodes[other])
    cluster.schedule.run(MEETING_MS)
    return newcomer(cluster, neighbours_of_newcomer(topology, count, rng))
