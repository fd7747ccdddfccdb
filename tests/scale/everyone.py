"""One engine that was told everything: every node has written, and it knows what each has.

No cluster is simulated here: its nodes would hold nodes x nodes x origins numbers. The messages
are those that the engine gives, encoded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from softadastra.errors import ProtocolError
from softadastra.store.changes import OWN, Arrivals, Claim, Committed
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.sync.engine import Engine
from softadastra.sync.fields import MEMBERS_MAX
from softadastra.sync.membership import REPORTS_BYTES_MAX, size_of
from softadastra.sync.messages import Have, Haves, Hello, Message, Report
from softadastra.sync.output import Push
from softadastra.sync.settings import Now
from softadastra.sync.wire import decode, encode
from softadastra.testing.sim_schedule import chance
from softadastra.transport.links import FRAME_BYTES_MAX

from .cluster import VALUE, WALL_MS, Cluster, key_name, new_engine
from .memory import memory_of

__all__ = ["Everyone", "Pair", "measure_everyone", "nodes_max"]

WRITES = 200
"""Of each node. The number takes 2 bytes; from 256 on it takes 3, from 65,536 on 5."""
PEER = 1
HAVE_INTERVAL_MS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyone:
    """What a cluster of this size costs one node per connection."""

    count: int
    hello_bytes: int
    have_bytes: int
    """Of what this node has."""
    full_bytes: int
    """And of what others have, as many as it tells of at once."""
    told: int
    """How many those are."""
    haves_until_all: int
    """How many of these tell of each of them."""
    is_accepted: bool
    """Whether a link takes it and a peer reads it."""
    known_bytes: int
    """Memory of what the others have."""


def measure_everyone(count: int, writers: int | None = None) -> Everyone:
    """Ask the engine of node 0, which is connected to node 1, for its messages.

    Args:
        count: how many nodes there are.
        writers: how many of them have written; None: all.
    """
    rng = chance(count, "everyone")
    engine = new_engine(0, rng)
    origins = origins_with(engine.replica.origins[0], count, rng)
    written = origins[:writers]
    for number, origin in enumerate(written):
        take_writes(engine, number, origin)
    engine.connections.up(PEER, dialled=True, now=Now(0, WALL_MS))
    (hello,) = sent(engine, 0)
    assert isinstance(hello, Hello)
    greeting = Hello(
        protocols=hello.protocols,
        features=hello.features,
        cluster=hello.cluster,
        node_id=origins[PEER].node_id,
        incarnation=origins[PEER].incarnation,
        nonce=rng.getrandbits(64),
        wall_ms=WALL_MS,
        policies=hello.policies,
        have=haves_of(written),
        named={},
        lives={},
        digest=hello.digest,
        credit=1,
        neighbours=frozenset(),
        resume=None,
    )
    engine.receive(PEER, greeting, b"", Now(0, WALL_MS))
    (have,) = sent(engine, 1_000)
    before = memory_of(engine).members
    hear_of_all(engine, origins, written, Now(1_000, WALL_MS + 1_000))
    full = tell_of_others(engine, 1_500)
    others = engine.membership.collector.known.keys() - {origins[PEER].node_id}
    told, haves = set(full.known), 1
    while told < others:
        haves += 1
        told.update(tell_of_others(engine, HAVE_INTERVAL_MS * haves).known)
    return Everyone(
        count=count,
        hello_bytes=len(encode(hello)),
        have_bytes=len(encode(have)),
        full_bytes=len(encode(full)),
        told=len(full.known),
        haves_until_all=haves,
        is_accepted=is_accepted(full),
        known_bytes=memory_of(engine).members - before,
    )


def origins_with(first: Origin, count: int, rng: Random) -> list[Origin]:
    """Give so many origins, the first of which is given."""
    return [first, *(Origin(f"node-{i:04}", rng.getrandbits(64)) for i in range(1, count))]


def hear_of_all(engine: Engine, origins: list[Origin], written: list[Origin], now: Now) -> None:
    """Let an engine hear that all nodes have what was written."""
    me = engine.replica.node_id
    reports = {
        origin.node_id: Report(0, haves_of(written)) for origin in origins if origin.node_id != me
    }
    engine.membership.hear_of(reports, engine.connections.active, now)


class Pair:
    """Two nodes of a large cluster that are in step, and know what all the others have."""

    def __init__(self, count: int) -> None:
        self.cluster = Cluster(2, count)
        self.engines = [node.engine for node in self.cluster.nodes]
        rng = chance(count, "everyone")
        mine = [engine.replica.origins[0] for engine in self.engines]
        origins = [*mine, *origins_with(mine[0], count, rng)[2:]]
        for engine in self.engines:
            for number, origin in enumerate(origins):
                take_writes(engine, number, origin)
        self.cluster.keys = count
        self.cluster.join(*self.cluster.nodes)
        self.cluster.schedule.run(1_500)
        for engine in self.engines:
            hear_of_all(engine, origins, origins, self.cluster.now)
        # What is stable is collected, after which peers are told outside of any interval.
        self.cluster.schedule.run(80_000)

    @property
    def is_equal(self) -> bool:
        """Whether both hold the same."""
        one, other = (engine.replica.digest for engine in self.engines)
        return one == other

    def run(self, duration_ms: int) -> Counter[str]:
        """Let time pass; give how many messages both sent, by kind."""
        before = Counter(self.cluster.messages)
        self.cluster.schedule.run(duration_ms)
        return self.cluster.messages - before

    def write_unsent(self) -> None:
        """Let the first node write, and take it for sent."""
        self.cluster.put([0])
        for session in self.engines[0].connections.sessions.values():
            top = self.engines[0].replica.top
            session.sent[OWN].add(top, top)

    def lose_entry(self) -> None:
        """Let the second node lose a write that it goes on to claim."""
        replica = self.engines[1].replica
        self.engines[1].evolve(Committed({}, [(key_name(0), 1, WRITES)]))
        assert key_name(0) not in replica.entries


def take_writes(engine: Engine, number: int, origin: Origin) -> None:
    """Let it hold the writes of a node, all of one key."""
    replica = engine.replica
    here = replica.origins.number(origin)
    sibling = (here, WRITES, WALL_MS << 16, WRITES, VALUE, 0)
    claim = Claim(here, 1, [(WRITES, 0, 0)])
    replica.evolve_arrivals(Arrivals([claim], [key_name(number)], [sibling], []))


def haves_of(origins: list[Origin]) -> Haves:
    return {origin: DotSet(WRITES) for origin in origins}


def tell_of_others(engine: Engine, now_ms: int) -> Have:
    """Give the HAVE that tells what others have, at the time for it."""
    session = engine.connections.sessions[PEER]
    session.heard_ms = session.pinged_ms = now_ms
    session.known_ms = session.have_ms = now_ms
    (have,) = sent(engine, now_ms)
    assert isinstance(have, Have)
    return have


def sent(engine: Engine, now_ms: int) -> list[Message]:
    """Give what it sends at this moment."""
    output = engine.poll(Now(now_ms, WALL_MS + now_ms), Push.ALL)
    return [message for _, message in output.sends]


def is_accepted(message: Message) -> bool:
    payload = encode(message)
    try:
        decode(payload)
    except ProtocolError:
        return False
    return len(payload) <= FRAME_BYTES_MAX


def nodes_max(writers: int | None) -> int:
    """Give for how many nodes at most a HAVE tells of all of them.

    Args:
        writers: how many of them have written; None: all.
    """
    for count in range(3, MEMBERS_MAX + 2):
        written = haves_of([Origin(f"node-{i:04}", 0) for i in range(writers or count)])
        if (count - 2) * size_of("node-0000", written) > REPORTS_BYTES_MAX:
            return count - 1
    return MEMBERS_MAX + 1
