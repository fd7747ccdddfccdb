"""Random histories of a few engines over bad links, each checked at every step and at its end.

A seed decides everything: the nodes and their options, what is written, which connections
are made, lost, cut or half open, which messages are lost, doubled, overtaken or refused by a
full queue, who stands still, restarts or loses the unsynced end of its log, and what the
clocks show. Then all faults end, and the nodes must agree on exactly what was written.

    python -c "from tests.sync.test_histories import play; play(SEED)"     plays one by hand
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import replace
from itertools import combinations, pairwise
from typing import NamedTuple

import pytest

from softadastra.store.changes import OWN, OwnWrites
from softadastra.store.dots import DotSet, subtract
from softadastra.store.origins import Origin
from softadastra.store.policies import Policies, Policy
from softadastra.store.siblings import (
    RESOLUTION,
    TOMBSTONE,
    Sibling,
    siblings_of,
)
from softadastra.store.writes import decide_writes
from softadastra.sync.batches import Limits
from softadastra.sync.messages import Batch, Message
from softadastra.sync.output import Push
from softadastra.sync.records import Forgotten, Pruned, Record, Released, decode_record
from softadastra.sync.resolution import kept_value, unsettled
from softadastra.sync.settings import EngineOptions
from softadastra.sync.wire import decode, encode
from softadastra.types import Peer, PeerSource
from tests.engines import OPTIONS, Network, Node

BLOCKS = 10
SEEDS_PER_BLOCK = 20
STEPS_MAX = 100
KEYS = ["k0", "k1", "k2", "k3", "k4"]
SETTLED_MAX_MS = 600_000
"""Several times the sum of the longest waits: a minute of backoff, 39 s to the next Have."""
WAITS_MS = [1, 50, 50, 300, 300, 300, 2_500, 2_500, 7_000, 7_000, 35_000, 300_000]
SENDS_MAX = 2_000
"""More than any turn of these small nodes has to say."""
TURNS_MAX = 20_000
"""More than any stretch of time here needs: a timer that never rests is a fault."""

POLICIES = [Policy.LAST_WRITE_WINS, Policy.MANUAL, Policy.KEEP_LOCAL, Policy.KEEP_REMOTE]

Rank = tuple[int, Origin, int]


class Write(NamedTuple):
    """One write, as its log has it."""

    key: str
    rank: Rank
    value: bytes
    flags: int


class Links(Network):
    """Links as TCP has them: each end learns of the end of a link by itself, or not at all.

    A dialler learns at once that the other process died; a listener learns it when it sends.
    What a listener drops it no longer listens to, and its dialler is not told.
    """

    def __init__(self, rng: random.Random, names: str, policies: Policies) -> None:
        super().__init__(*names, policies=policies)
        self.rng = rng
        self.ends: dict[int, set[str]] = {}
        """Who still holds each link; its listener from the first message on."""
        self.heard: set[int] = set()
        """Links whose first message has come."""
        self.cuts: set[frozenset[str]] = set()
        """Pairs whose messages vanish: a cable is out, and nobody is told."""
        self.lost = self.doubled = self.overtaken = self.full = 0.0
        self.sends = 0
        self.synced: Counter[str] = Counter()
        """How much of each log was synced when its node last sent."""
        self.actor = ""

    def join(self, dialler: str, listener: str) -> int:
        link = next(self._numbers)
        node = self[dialler]
        self.links[link] = (node, self[listener])
        self.ends[link] = {dialler}
        node.engine.connections.up(link, dialled=True, now=node.now)
        return link

    def send(self, sender: Node, link: int, message: Message) -> None:
        self.synced[sender.name] = len(sender.log)
        self.sends += 1
        assert self.sends < SENDS_MAX, "a turn that does not end"
        dialler, listener = self.links[link]
        ends = self.ends[link]
        if sender.name not in ends or (sender is listener and dialler.name not in ends):
            ends.discard(sender.name)
            sender.engine.connections.down(link, "connection lost", sender.now)
        elif self.rng.random() < self.full:
            sender.engine.unsent(link, message, sender.now)
        elif frozenset((dialler.name, listener.name)) not in self.cuts:
            receiver = listener if sender is dialler else dialler
            self.sent.append((sender.name, receiver.name, message))
            copies = 0 if self.rng.random() < self.lost else 1
            copies += self.rng.random() < self.doubled
            self.wire += [(link, receiver, message)] * copies

    def drop(self, link: int) -> None:
        if link in self.ends:
            self.ends[link].discard(self.actor)

    def close(self, link: int) -> None:
        """Lose a connection, and what was on its way over it; only the dialler is told."""
        dialler = self.links[link][0]
        self.wire = deque(item for item in self.wire if item[0] != link)
        if dialler.name in self.ends[link]:
            self.ends[link].discard(dialler.name)
            dialler.engine.connections.down(link, "connection closed", dialler.now)

    def cut(self, node: Node) -> None:
        for link in [link for link, ends in self.links.items() if node in ends]:
            self.close(link)
            self.ends[link].discard(node.name)
            self.heard.add(link)

    def arrives(self, link: int, receiver: Node) -> bool:
        """Whether a message is read; the first one brings a link up at its listener."""
        dialler, listener = self.links[link]
        ends = self.ends[link]
        if receiver is listener and link not in self.heard and dialler.name in ends:
            self.heard.add(link)
            ends.add(receiver.name)
            receiver.engine.connections.up(link, dialled=False, now=receiver.now)
        return receiver.name in ends


class History:
    """One random history, and what must hold in it.

    Args:
        seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.policy = rng.choice([Policy.LAST_WRITE_WINS, *POLICIES])
        policies = Policies(self.policy, {}, self.policy.value)
        self.network = Links(rng, "abcde"[: rng.choice([2, 2, 3, 3, 4, 5])], policies)
        self.nodes = list(self.network.nodes.values())
        self.keys = KEYS[: rng.choice([1, 2, 5])]
        self.loses_tails = rng.random() < 0.3
        """Whether a crash takes what was not synced: `auto_flush=False` and a power cut."""
        self.full_disk = rng.choice([0, 0, 0, 0.2])
        """How often a record that was received is not kept."""
        self.frozen: set[str] = set()
        self.seen: dict[Rank, list[Rank]] = {}
        """What the writer of each write had seen of its key."""
        suspends = rng.random() < 0.2
        self.all_know_all = not suspends and not self.loses_tails and rng.random() < 0.7
        """Whether a remove waits for every node: under last_write_wins an older write of a node
        that was never heard of, or away for too long, wins over a remove that is collected."""
        for node in self.nodes:
            offline_ms = 240_000 if suspends else 10**12
            node.options = replace(some_options(rng), max_offline_ms=offline_ms)
            node.start()
        if self.all_know_all:
            self.connect_all(self.nodes, is_mesh=True)
            self.run_until(2_000)
        for fault in ("lost", "doubled", "overtaken", "full"):
            setattr(self.network, fault, rng.choice([0, 0, 0, 0.05, 0.3]))

    def play(self) -> None:
        """Take random steps, end all faults, and check what the nodes agree on."""
        steps, weights = zip(*STEPS, strict=True)
        for _ in range(self.rng.randint(10, STEPS_MAX)):
            (step,) = self.rng.choices(steps, weights)
            step(self, self.rng.choice(self.nodes))
        is_mesh = self.rng.random() < 0.5
        self.heal(is_mesh=is_mesh)
        self.run_until(self.network.now_ms + SETTLED_MAX_MS, is_mesh=is_mesh)
        self.check_agreement()
        self.check_silence()
        if is_mesh:
            self.check_delivery()

    # Steps: what a node does, and what is done to it.

    def write(self, node: Node) -> None:
        """Write a key or several, some of them twice."""
        record = self.decided(node)
        if record is not None:
            self.commit(node, record)

    def decided(self, node: Node) -> OwnWrites | None:
        rng = self.rng
        asked = []
        for _ in range(rng.choice([1, 1, 1, 2, 10])):
            key = rng.choice(self.keys)
            value = TOMBSTONE if rng.random() < 0.3 else bytes([rng.randrange(0x80)])
            resolves = key in node.engine.replica.conflicted and rng.random() < 0.5
            asked.append((key, value, RESOLUTION if resolves else 0))
        record, _ = decide_writes(node.engine.replica, asked, wall_ms=node.now.wall_ms)
        return record

    def commit(self, node: Node, record: OwnWrites) -> None:
        replica = node.engine.replica
        assert record.first == replica.top + 1
        seen = {k: [rank(node, s) for s in siblings_of(replica.entries.get(k))] for k in self.keys}
        for key, state in zip(record.keys, record.states, strict=True):
            (sibling,) = siblings_of(state)
            new = rank(node, sibling)
            assert all(new > older for older in seen[key])
            self.seen[new] = seen[key]
            seen[key] = [new]
        node.commit(record)

    def write_while_receiving(self, node: Node) -> None:
        """All is decided of one state, as the reactor and other threads do, and then done."""
        collected = None
        if self.rng.random() < 0.5:
            node.engine.membership.collect_ms = 0
            collected = node.engine.decide_collection(node.now)
        record = self.decided(node)
        mine = [item for item in self.network.wire if item[1] is node]
        arrived = []
        for item in mine[: self.rng.randint(0, 3)]:
            self.network.wire.remove(item)
            arrived.append(self.received(*item))
        if record is not None:
            self.commit(node, record)
        for arrival in arrived:
            if arrival is not None:
                node.commit(arrival)
        if collected is not None:
            node.commit(collected)

    def received(self, link: int, receiver: Node, message: Message) -> Record | None:
        if not self.network.arrives(link, receiver):
            return None
        payload = encode(message)
        return receiver.engine.receive(link, decode(payload), payload, receiver.now)

    def deliver(self, _node: Node) -> None:
        """Deliver some of what is on its way, not always in order."""
        self.deliver_some(self.rng.randint(1, 8))

    def deliver_some(self, messages: int) -> list[Node]:
        """Deliver so many messages, and give who got any."""
        network, rng = self.network, self.rng
        receivers: dict[str, Node] = {}
        for _ in range(messages):
            waiting = [i for i, item in enumerate(network.wire) if item[1].name not in self.frozen]
            if not waiting:
                break
            position = rng.choice(waiting) if rng.random() < network.overtaken else waiting[0]
            link, receiver, message = network.wire[position]
            del network.wire[position]
            receivers[receiver.name] = receiver
            record = self.received(link, receiver, message)
            if record is not None and rng.random() >= self.full_disk:
                receiver.commit(record)
        return list(receivers.values())

    def turn(self, node: Node) -> None:
        """Let a node do all that is due."""
        if node.name in self.frozen:
            return
        network, engine = self.network, node.engine
        network.actor, network.sends = node.name, 0
        node.collect()
        node.poll()
        dialled = engine.dialer.due(network.now_ms, engine.connections.active)
        for attempt in dialled:
            peer = attempt.peer.node_id
            if frozenset((node.name, peer)) in network.cuts or peer in self.frozen:
                attempt.link = next(network._numbers)
                engine.connections.down(attempt.link, "timed out", node.now)
            else:
                attempt.link = network.join(node.name, peer)
        if dialled:
            node.poll()
        due_ms = deadline(node)
        assert due_ms is None or due_ms > network.now_ms, "the next turn is due, and is for nothing"

    def settle(self, node: Node) -> bool:
        """Settle what settles itself, as a thread beside the reactor does."""
        conflicts = list(unsettled(node.engine.replica))
        for conflict in conflicts:
            value = kept_value(conflict, OWN)
            asked = [(conflict.key, value, RESOLUTION)]
            record, _ = decide_writes(node.engine.replica, asked, wall_ms=node.now.wall_ms)
            assert record is not None
            self.commit(node, record)
        return bool(conflicts)

    def acknowledge_only(self, node: Node) -> None:
        """A turn with `auto_tick=False`."""
        if node.name not in self.frozen:
            self.network.actor, self.network.sends = node.name, 0
            node.poll(Push.NOTHING)
            self.check(node)

    def pass_time(self, _node: Node) -> None:
        """Let time pass, with all that is due in it, or with nobody looking."""
        end_ms = self.network.now_ms + self.rng.choice(WAITS_MS)
        if self.rng.random() < 0.2:
            self.network.now_ms = end_ms
        else:
            self.run_until(end_ms)

    def run_until(self, end_ms: int, *, is_mesh: bool | None = None) -> None:
        """Run from deadline to deadline; with `is_mesh`, until the nodes agree."""
        awake = self.nodes
        for _ in range(TURNS_MAX):
            for node in awake:
                self.turn(node)
            if awake := self.deliver_some(len(self.network.wire)):
                continue
            if is_mesh is not None:
                if awake := [node for node in self.nodes if self.settle(node)]:
                    for node in awake:
                        self.release(node)
                    continue
                if self.has_settled(is_mesh=is_mesh):
                    return
            if self.network.now_ms >= end_ms:
                assert is_mesh is None, "the nodes do not come to agree"
                return
            due = [(deadline(node), node) for node in self.nodes if node.name not in self.frozen]
            self.network.now_ms = min([end_ms, *(time for time, _ in due if time is not None)])
            awake = [node for time, node in due if time is not None and time <= self.network.now_ms]
        raise AssertionError("turns without an end")

    def connect(self, node: Node) -> None:
        """Register a peer, which is dialled from then on."""
        peer = self.rng.choice([other for other in self.nodes if other is not node])
        self.register(node, peer)

    def register(self, node: Node, peer: Node) -> None:
        address = Peer(peer.name, "127.0.0.1", 1 + self.nodes.index(peer))
        member = node.engine.register(address, PeerSource.MANUAL, node.now)
        if member is not None:
            node.commit(member)

    def join(self, node: Node) -> None:
        """One more connection, also of a pair that has some."""
        peer = self.rng.choice([other for other in self.nodes if other is not node])
        self.network.join(node.name, peer.name)

    def lose_link(self, _node: Node) -> None:
        held = [link for link, ends in self.network.ends.items() if ends]
        if held:
            self.network.close(self.rng.choice(held))

    def cut_cable(self, node: Node) -> None:
        peer = self.rng.choice([other for other in self.nodes if other is not node])
        self.network.cuts ^= {frozenset((node.name, peer.name))}

    def freeze(self, node: Node) -> None:
        self.frozen ^= {node.name}

    def restart(self, node: Node) -> None:
        """A node dies and comes back; what it shows is in its log."""
        before = node.digest, node.engine.have()
        end = len(node.log)
        if self.loses_tails:
            del node.log[self.rng.randint(self.network.synced[node.name], end) :]
        node.restart()
        assert len(node.log) < end or (node.digest, node.engine.have()) == before
        for member in node.engine.members:
            if member.host:
                self.register(node, self.network[member.node_id])

    def set_clock(self, node: Node) -> None:
        node.skew_ms = self.rng.choice([0, 1, -(10**9), 10**9, -60_000, 59_999, 61_000])

    def release(self, node: Node) -> None:
        if node.state.held_count:
            node.commit(Released(node.engine.replica.top))

    def prune(self, node: Node) -> None:
        acknowledged = node.state.acknowledged_count
        if acknowledged:
            node.commit(Pruned(node.engine.floor + acknowledged))

    def requeue(self, node: Node) -> None:
        engine = node.engine
        engine.delivery.requeue_failed(engine.connections.sessions.values(), node.now)

    def disconnect(self, node: Node) -> None:
        peer = self.rng.choice(self.nodes)
        if peer.name in node.engine.members:
            node.engine.connections.disconnect(peer.name, node.now)

    def forget(self, node: Node) -> None:
        peer = self.rng.choice(self.nodes)
        if peer.name in node.engine.members:
            node.engine.connections.disconnect(peer.name, node.now)
            node.commit(Forgotten(peer.name))
            self.all_know_all = False

    # The end.

    def heal(self, *, is_mesh: bool) -> None:
        """End all faults, and connect every node with every other one, or in a line."""
        network = self.network
        network.lost = network.doubled = network.overtaken = network.full = self.full_disk = 0
        network.cuts.clear()
        self.frozen.clear()
        for node in self.nodes:
            self.release(node)
        self.connect_all(self.rng.sample(self.nodes, len(self.nodes)), is_mesh=is_mesh)

    def connect_all(self, nodes: list[Node], *, is_mesh: bool) -> None:
        pairs = combinations(nodes, 2) if is_mesh else pairwise(nodes)
        for left, right in pairs:
            self.register(left, right)
            if self.rng.random() < 0.3:
                self.register(right, left)

    def has_settled(self, *, is_mesh: bool) -> bool:
        """Whether all nodes have the same, and nothing is on its way; in a mesh all know it."""
        states = [((node.engine.have(), node.digest), node.state) for node in self.nodes]
        return all(
            held == states[0][0]
            and not any(session.flights for session in node.engine.connections.sessions.values())
            and (not is_mesh or state.acknowledged_count == state.outbox_size)
            for node, (held, state) in zip(self.nodes, states, strict=True)
        )

    # Checks.

    def check(self, node: Node) -> None:
        """Check what holds of a node at any time."""
        engine, state = node.engine, node.state
        counts = (
            state.held_count,
            state.queued_count,
            state.in_flight_count,
            state.acknowledged_count,
            state.failed_count,
        )
        assert state.outbox_size == sum(counts)
        assert min(counts) >= 0
        for session in engine.connections.sessions.values():
            assert len(session.flights) <= node.options.window
            peer = self.network.nodes.get(session.peer_id)
            if peer is None:
                continue
            has = peer.engine.have()
            for number, dots in session.known.items():
                held = has.get(engine.replica.origins[number], DotSet())
                assert not list(subtract(dots.ranges(), held)), "believed too much"
        if not node.options.auto_queue:
            origin = engine.replica.origins[OWN]
            for other in self.nodes:
                if other is not node and (left := other.engine.have().get(origin)):
                    assert left.top <= engine.delivery.released, "a held write has left"

    def check_agreement(self) -> None:
        """Check that each node holds what was written and nobody superseded, and all of it."""
        written = {node.name: writes_of(node) for node in self.nodes}
        everything = [write for writes in written.values() for write in writes]
        superseded = {older for write in everything for older in self.seen[write.rank]}
        expected = {key: self.standing(key, everything, superseded) for key in self.keys}
        for node in self.nodes:
            replica = node.engine.replica
            assert sum(log.base for _, log in replica.haves()) == len(everything)
            for number, log in replica.haves():
                writes = written[replica.origins[number].node_id]
                assert not log.beyond
                assert log.base == len(writes)
                assert all(key == writes[n - 1].key for n, key in log.rows())
                assert all(key in replica.entries for _, key in log.rows())
            for key in self.keys:
                held = {
                    Write(key, rank(node, s), s[4], s[5])
                    for s in siblings_of(replica.entries.get(key))
                }
                live = {write for write in held if write.value}
                if self.all_know_all or self.policy is not Policy.LAST_WRITE_WINS:
                    assert {w for w in expected[key] if w.value and not w.flags} <= live
                assert live <= expected[key]
        assert len({node.digest for node in self.nodes}) == 1, "digests differ"
        if self.all_know_all and self.policy in (Policy.KEEP_LOCAL, Policy.KEEP_REMOTE):
            assert not any(node.engine.replica.conflicted for node in self.nodes), "unsettled"

    def standing(self, key: str, everything: list[Write], superseded: set[Rank]) -> set[Write]:
        """Give the writes of a key that no writer had seen: the greatest, if it is known to win."""
        found = {w for w in everything if w.key == key and w.rank not in superseded}
        if self.all_know_all and self.policy is Policy.LAST_WRITE_WINS:
            return {max(found)} if found else set()
        return found

    def check_delivery(self) -> None:
        """Check that every node knows that its writes are everywhere."""
        for node in self.nodes:
            assert node.state.outbox_size == node.state.acknowledged_count
            assert not node.engine.delivery.faulted

    def check_silence(self) -> None:
        """Check that nodes in step have nothing to say but that they are there."""
        network = self.network
        self.run_until(network.now_ms + 8_000)  # until half-open links are found out
        network.sent.clear()
        self.run_until(network.now_ms + 35_000)
        assert not network.messages(Batch)
        pairs = Counter(frozenset((a, b)) for a, b, _ in network.sent)
        assert max(pairs.values(), default=0) < 150


STEPS = [
    (History.write, 20),
    (History.write_while_receiving, 4),
    (History.deliver, 25),
    (History.turn, 20),
    (History.acknowledge_only, 2),
    (History.settle, 3),
    (History.pass_time, 10),
    (History.connect, 6),
    (History.join, 3),
    (History.lose_link, 3),
    (History.cut_cable, 2),
    (History.freeze, 2),
    (History.restart, 3),
    (History.set_clock, 2),
    (History.release, 2),
    (History.prune, 2),
    (History.requeue, 1),
    (History.disconnect, 1),
    (History.forget, 1),
]
"""What can happen, and how often."""


def some_options(rng: random.Random) -> EngineOptions:
    """Give options, mostly such that every limit is reached."""
    return replace(
        OPTIONS,
        batch=Limits(rng.choice([1, 2, 3, 64]), rng.choice([1, 100, 262_144])),
        window=rng.choice([1, 2, 4]),
        max_retries=rng.choice([1, 2, 5]),
        retry_interval_ms=rng.choice([100, 1_000, 5_000]),
        ack_timeout_ms=rng.choice([100, 10_000]),
        tick_interval_ms=rng.choice([1, 50]),
        require_ack=rng.random() < 0.85,
        auto_queue=rng.random() < 0.85,
    )


def deadline(node: Node) -> int | None:
    """Give when a node is to have its next turn."""
    engine = node.engine
    times = (engine.deadline(Push.ALL), engine.dialer.deadline(engine.connections.active))
    return min((time for time in times if time is not None), default=None)


def rank(node: Node, sibling: Sibling) -> Rank:
    """Give a write's place in the total order, the same on each node."""
    number, n, stamp, *_ = sibling
    return stamp, node.engine.replica.origins[number], n


def writes_of(node: Node) -> list[Write]:
    """Give all writes in a node's log, and check their numbers."""
    origins = node.engine.replica.origins
    writes: list[Write] = []
    for kind, payload in node.log:
        record = decode_record(kind, payload, origins)
        if isinstance(record, OwnWrites):
            assert record.first == len(writes) + 1
            for key, state in zip(record.keys, record.states, strict=True):
                (sibling,) = siblings_of(state)
                assert sibling[:2] == (OWN, len(writes) + 1)
                writes.append(Write(key, rank(node, sibling), sibling[4], sibling[5]))
    return writes


def play(seed: int) -> None:
    """Play one history; its seed is part of what a failure says."""
    try:
        History(seed).play()
    except Exception as error:
        raise AssertionError(f"history {seed} fails") from error


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nodes_agree_on_exactly_what_was_written_whatever_happened(block):
    for seed in range(block * SEEDS_PER_BLOCK, (block + 1) * SEEDS_PER_BLOCK):
        play(seed)
