"""One engine that was told everything: every node has written, and it knows what each has.

No cluster is simulated here: its nodes would hold nodes x nodes x origins numbers. The messages
are those that the engine gives, encoded.
"""

from __future__ import annotations

from dataclasses import dataclass

from softadastra.errors import ProtocolError
from softadastra.store.dots import DotSet
from softadastra.store.origins import Origin
from softadastra.store.replica import Arrivals, Claim
from softadastra.sync.engine import Engine
from softadastra.sync.messages import Have, Haves, Hello, Message, Report
from softadastra.sync.output import Push
from softadastra.sync.settings import Now
from softadastra.sync.wire import decode, encode
from softadastra.testing.sim_schedule import chance
from softadastra.transport.links import FRAME_BYTES_MAX

from .cluster import VALUE, WALL_MS, key_name, new_engine
from .memory import memory_of

__all__ = ["Everyone", "have_about_all", "is_accepted", "measure_everyone", "nodes_max"]

WRITES = 200
"""Of each node. The number takes 2 bytes; from 256 on it takes 3, from 65,536 on 5."""
PEER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyone:
    """What a cluster of this size costs one node per connection."""

    count: int
    hello_bytes: int
    have_bytes: int
    """Of what this node has."""
    full_bytes: int
    """And of what all others have."""
    is_accepted: bool
    """Whether a link takes it and a peer reads it."""
    known_bytes: int
    """Memory of what the others have."""


def measure_everyone(count: int) -> Everyone:
    """Ask the engine of node 0, which is connected to node 1, for its messages."""
    rng = chance(count, "everyone")
    engine = new_engine(0, rng)
    origins = [engine.replica.origins[0]]
    origins += [Origin(f"node-{i:04}", rng.getrandbits(64)) for i in range(1, count)]
    for number, origin in enumerate(origins):
        take_writes(engine, number, origin)
    engine.connections.up(PEER, dialled=True, now=Now(0, WALL_MS))
    (hello,) = sent(engine, 0)
    assert isinstance(hello, Hello)
    greeting = Hello(
        cluster=hello.cluster,
        node_id=origins[PEER].node_id,
        incarnation=origins[PEER].incarnation,
        nonce=rng.getrandbits(64),
        wall_ms=WALL_MS,
        policies=hello.policies,
        have=haves_of(origins),
        digest=hello.digest,
        credit=1,
        neighbours=frozenset(),
        resume=None,
    )
    engine.receive(PEER, greeting, b"", Now(0, WALL_MS))
    (have,) = sent(engine, 1_000)
    before = memory_of(engine).members
    reports = {
        origin.node_id: Report(0, haves_of(origins))
        for origin in origins
        if origin not in (origins[0], origins[PEER])
    }
    engine.membership.hear_of(reports, engine.connections.active, Now(1_000, WALL_MS + 1_000))
    engine.connections.sessions[PEER].known_ms = engine.connections.sessions[PEER].have_ms = 1_500
    (full,) = sent(engine, 1_500)
    return Everyone(
        count=count,
        hello_bytes=len(encode(hello)),
        have_bytes=len(encode(have)),
        full_bytes=len(encode(full)),
        is_accepted=is_accepted(full),
        known_bytes=memory_of(engine).members - before,
    )


def take_writes(engine: Engine, number: int, origin: Origin) -> None:
    """Let it hold the writes of an origin, all of one key."""
    replica = engine.replica
    assert replica.origins.number(origin) == number
    sibling = (number, WRITES, WALL_MS << 16, WRITES, VALUE, 0)
    claim = Claim(number, 1, [(WRITES, 0, 0)])
    replica.evolve_arrivals(Arrivals([claim], [key_name(number)], [sibling], []))


def haves_of(origins: list[Origin]) -> Haves:
    return {origin: DotSet(WRITES) for origin in origins}


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
    """Give for how many nodes at most a HAVE about all of them is accepted.

    Args:
        writers: how many of them have written; None: all.
    """
    fits, fails = 2, 2_000
    while fails - fits > 1:
        count = (fits + fails) // 2
        if is_accepted(have_about_all(count, writers)):
            fits = count
        else:
            fails = count
    return fits


def have_about_all(count: int, writers: int | None) -> Have:
    """Give what one of so many nodes tells another one."""
    origins = [Origin(f"node-{i:04}", 2**64 - 1 - i) for i in range(count)]
    haves = haves_of(origins[:writers])
    others = {origin.node_id: Report(9_999, haves) for origin in origins[2:]}
    return Have(haves, bytes(16), frozenset([origins[PEER].node_id]), others)
