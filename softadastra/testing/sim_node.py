"""One simulated node: the calls of a client, and faults as verbs.

A machine (clock, disk) outlives the lives of its process. Every write is told to the checkers
with its outcome: accepted, refused, or unknown after a disk that failed in the middle of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import partial
from random import Random

from softadastra.errors import InvalidStateError, StorageError
from softadastra.options import ClientOptions
from softadastra.store.siblings import TOMBSTONE, siblings_of
from softadastra.store.values import check_key, pack_value, unpack_value
from softadastra.store.writes import Assigned, Assignment
from softadastra.testing.checkers import Checks
from softadastra.testing.checkers.ledger import Dot, Fact, Outcome
from softadastra.testing.sim_clock import SimClock
from softadastra.testing.sim_disk import SimDisk
from softadastra.testing.sim_life import SimLife
from softadastra.testing.sim_network import PORT, SimNetwork
from softadastra.testing.sim_schedule import Schedule
from softadastra.types import Peer, PeerStatus, SyncState, TickResult, Value

__all__ = ["NodeState", "SimNode"]


class NodeState(Enum):
    """What can be done with a node."""

    RUNNING = "running"
    PAUSED = "paused"
    DOWN = "down"
    """Crashed or closed; `restart` brings it back."""
    LOST = "lost"
    """Gone for good, with its disk."""


class SimNode:
    """A node of a `SimCluster`, which makes it. Not thread-safe.

    Calls raise InvalidStateError when the node is not running, and otherwise what the same
    call of a `Client` raises.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        schedule: Schedule,
        network: SimNetwork,
        checks: Checks,
        rng: Random,
        allocation_bytes_max: int,
    ) -> None:
        self.node_id = options.node_id
        self.options = options
        self.path = options.resolved_wal_path()
        """The log."""
        self.clock = SimClock(schedule)
        self.disk = SimDisk(rng, allocation_bytes_max=allocation_bytes_max)
        self.state = NodeState.DOWN
        self.life: SimLife | None = None
        self.peers_dialled: dict[str, Peer] = {}
        """Whom it dials, also after a restart or a wipe."""
        self._schedule = schedule
        self._network = network
        self._checks = checks
        self._rng = rng
        self._is_turn_due = False
        self._alarm_ms: int | None = None

    @property
    def address(self) -> Peer:
        """Where other nodes reach it."""
        return Peer(self.node_id, self.node_id, PORT)

    @property
    def is_running(self) -> bool:
        """Whether it takes calls."""
        return self.state is NodeState.RUNNING

    @property
    def is_poisoned(self) -> bool:
        """Whether a sync failed, so that it writes no more until it is restarted."""
        return self.life is not None and self.life.log.is_poisoned

    # The calls of a client.

    def put(self, key: str, value: Value) -> Assigned:
        """Store one value; gives key, version, status, origin and number."""
        result = self._write([self._assignment(key, value)])[0]
        assert result is not None, "a put always has a result"
        return result

    def put_many(self, items: Iterable[tuple[str, Value]]) -> list[Assigned | None]:
        """Store values as one atomic record."""
        return self._write([self._assignment(key, value) for key, value in items])

    def remove(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        return self._write([(key, TOMBSTONE, 0)])[0] is not None

    def get(self, key: str, default: Value = None) -> Value:
        """Give the value of a key, or the default."""
        packed = self.running().engine.replica.value(key)
        return default if packed is None else unpack_value(packed)

    def items(self) -> dict[str, Value]:
        """Give all live keys, in order, with their values."""
        replica = self.running().engine.replica
        values = {key: replica.value(key) for key in sorted(replica.entries)}
        return {key: unpack_value(packed) for key, packed in values.items() if packed is not None}

    def digest(self) -> str:
        """Give the hash of the replicated state, in hex."""
        return self.running().engine.replica.digest.hex()

    def sync_state(self) -> SyncState:
        """Give the state of the outbox."""
        return self.running().sync_state()

    def peers(self) -> list[PeerStatus]:
        """Give every known peer and how it stands, by name."""
        return self.running().peers()

    def tick(self, *, prune: bool = False) -> TickResult:
        """Send what is due; with `prune`, drop acknowledged writes from the outbox."""
        return self.running().tick(prune=prune)

    def queue_pending(self) -> int:
        """Let go what `auto_queue=False` holds back; give how many writes."""
        return self.running().release()

    def connect(self, other: SimNode) -> None:
        """Dial another node from now on, also after a restart."""
        self.peers_dialled[other.node_id] = other.address
        self.running().dial(other.address)

    def forget(self, node_id: str) -> None:
        """Strike a peer off and dial it no more."""
        self.peers_dialled.pop(node_id, None)
        self.running().forget(node_id)

    def close(self) -> None:
        """Close as a client does, with a last sync. `restart` opens it again."""
        life = self.running()
        self._tell("closes")
        self._end()
        try:
            life.close()
        finally:
            self.disk.end_process()

    # Faults.

    def crash(self) -> None:
        """Cut the power: of what was not synced, the disk keeps what chance keeps."""
        self._tell("loses power")
        self._end_process(is_silent=True)
        self.disk.lose_power()
        self._checks.disk_changed(self)

    def kill(self) -> None:
        """End the process at once; what it wrote stays, synced or not."""
        self._tell("is killed")
        self._end_process(is_silent=False)

    def restart(self) -> None:
        """Start the process on what the disk holds; it dials whom it dialled before.

        Raises:
            InvalidStateError: it is up, or lost for good.
            WalCorruptionError: its log is damaged; the node stays down.
            StorageError: the disk is full or fails; the node stays down.
        """
        if self.state is not NodeState.DOWN:
            raise InvalidStateError(f"{self.node_id} is {self.state.value}, and cannot be started")
        self._tell("starts")
        life = SimLife(self.options, disk=self.disk, clock=self.clock, rng=self._rng)
        transport = self._network.attach(self.node_id, partial(self._wake, life))
        transport.sending = partial(self._checks.sending, self)
        try:
            life.open(transport, is_traced=self._network.trace.is_on)
        except BaseException:
            self._network.detach(transport, is_silent=False)
            self.disk.end_process()
            raise
        self.life = life
        self.state = NodeState.RUNNING
        self._checks.opened(self)
        for peer in self.peers_dialled.values():
            life.dial(peer)

    def pause(self) -> None:
        """Stop the process where it is; its clocks go on."""
        self.running().transport.is_paused = True
        self._tell("pauses")
        self.state = NodeState.PAUSED

    def resume(self) -> None:
        """Let a paused process go on."""
        life = self._living()
        self._tell("resumes")
        life.transport.is_paused = False
        self.state = NodeState.RUNNING
        self._wake(life)

    def fill_disk(self, free_bytes: int = 0) -> None:
        """Let its files grow by no more than this, all together, until `free_disk`."""
        self._tell(f"has {free_bytes} bytes left on its disk")
        self.disk.free_bytes = free_bytes

    def free_disk(self) -> None:
        """Let there be space on its disk again."""
        if self.disk.is_full:
            self._tell("has space on its disk")
            self.disk.free_bytes = None

    def fail_sync(self) -> None:
        """Let the next sync fail: from then on it writes no more until it is restarted."""
        self._tell("will see a sync fail")
        self.disk.fails_next_sync = True

    def flip_bit(self) -> None:
        """Damage one bit of what is durable in its log, while it is down."""
        content = self.disk.durable(self.path)
        if self.state is not NodeState.DOWN or not content:
            raise InvalidStateError(f"{self.node_id} has to be down, with a log, for a bit to flip")
        offset = int(self._rng.random() * len(content.rstrip(b"\0")))
        self._tell(f"has a bit flipped at {offset}")
        self._checks.disk_lost(self)
        self.disk.flip_bit(self.path, offset, int(self._rng.random() * 8))

    def wipe(self) -> None:
        """Take its disk away; `restart` begins a new incarnation of the same name."""
        self._tell("is wiped")
        self._end_process(is_silent=False)
        self._checks.disk_lost(self)
        self.disk = SimDisk(self._rng, allocation_bytes_max=self.disk.allocation_bytes_max)

    def lose(self) -> None:
        """Take the node away for good, with its disk."""
        self._tell("is lost for good")
        self._end_process(is_silent=True)
        self._checks.disk_lost(self)
        self.state = NodeState.LOST

    def jump_clock(self, milliseconds: int) -> None:
        """Set its wall clock forward, or back when negative."""
        self._tell(f"has its clock set by {milliseconds / 1000:+} s")
        self.clock.jump(milliseconds)

    def drift_clock(self, parts_per_million: int) -> None:
        """Let its clocks run faster, or slower when negative."""
        self._tell(f"has a clock that drifts by {parts_per_million:+} ppm")
        self.clock.drift(parts_per_million)

    # The process.

    def running(self) -> SimLife:
        """Give the process that takes calls.

        Raises:
            InvalidStateError: there is none.
        """
        if self.life is None or self.state is not NodeState.RUNNING:
            raise InvalidStateError(f"{self.node_id} is {self.state.value}, and takes no calls")
        return self.life

    def _living(self) -> SimLife:
        if self.life is None:
            raise InvalidStateError(f"{self.node_id} is {self.state.value}, and has no process")
        return self.life

    def _assignment(self, key: str, value: Value) -> Assignment:
        options = self.options
        packed = pack_value(value, max_bytes=options.max_value_bytes)
        return check_key(key, max_bytes=options.max_key_bytes), packed, 0

    def _write(self, asked: list[Assignment]) -> list[Assigned | None]:
        life = self.running()
        replica = life.engine.replica
        me, first = replica.origins[replica.me], replica.top + 1
        saw = {key: self._dots_held(life, key) for key, *_ in asked}
        changing = [(k, value) for k, value, _ in asked if value != (replica.value(k) or TOMBSTONE)]
        was_poisoned = life.log.is_poisoned
        try:
            results = life.write(asked)
        except StorageError:
            if was_poisoned or not life.log.is_poisoned:
                self._tell(f"refuses to write {asked[0][0]}")
                raise
            # The sync failed: after a restart the record is there, or it is not.
            self._checks.wrote(
                self,
                [
                    Fact(me, n, key, value, saw[key], Outcome.UNKNOWN)
                    for n, (key, value) in enumerate(changing, first)
                ],
            )
            raise
        facts = [
            Fact(me, row[4], key, value, saw[key], Outcome.ACCEPTED, self._stamp(life, key, row[4]))
            for (key, value, _), row in zip(asked, results, strict=True)
            if row is not None and row[2] != "unchanged"
        ]
        self._tell_facts(facts)
        self._checks.wrote(self, facts)
        return results

    def _dots_held(self, life: SimLife, key: str) -> frozenset[Dot]:
        replica = life.engine.replica
        siblings = siblings_of(replica.entries.get(key))
        return frozenset((replica.origins[s[0]], s[1]) for s in siblings)

    def _stamp(self, life: SimLife, key: str, n: int) -> int:
        replica = life.engine.replica
        siblings = siblings_of(replica.entries[key])
        return next((s[2] for s in siblings if s[:2] == (replica.me, n)), 0)

    def _wake(self, life: SimLife) -> None:
        if life is self.life and not self._is_turn_due:
            self._is_turn_due = True
            self._schedule.after(0, partial(self._turn, life))

    def _turn(self, life: SimLife) -> None:
        if life is not self.life:
            return
        self._is_turn_due = False
        if self.state is not NodeState.RUNNING:
            return
        turn = life.turn()
        self._checks.turned(self, turn)
        self._set_alarm(life, turn.timeout_ms)

    def _set_alarm(self, life: SimLife, timeout_ms: int | None) -> None:
        if timeout_ms is None:
            return
        # A turn takes time: what is due at once is due in a millisecond.
        alarm_ms = self._schedule.now_ms + max(1, self.clock.world_delay_ms(timeout_ms))
        if self._alarm_ms is None or alarm_ms < self._alarm_ms:
            self._alarm_ms = alarm_ms
            self._schedule.after(
                alarm_ms - self._schedule.now_ms, partial(self._alarm, life, alarm_ms)
            )

    def _alarm(self, life: SimLife, alarm_ms: int) -> None:
        if life is not self.life or self._alarm_ms != alarm_ms:
            return
        self._alarm_ms = None
        timeout_ms = life.timeout_ms()
        if timeout_ms == 0:
            self._wake(life)
        else:
            self._set_alarm(life, timeout_ms)

    def _end_process(self, *, is_silent: bool) -> None:
        life = self.life
        if life is not None:
            self._end()
            self._network.detach(life.transport, is_silent=is_silent)
            self.disk.end_process()

    def _end(self) -> None:
        self.life = None
        self.state = NodeState.DOWN
        self._is_turn_due = False
        self._alarm_ms = None

    def _tell(self, words: str) -> None:
        self._network.trace.tell(self.node_id, words)

    def _tell_facts(self, facts: list[Fact]) -> None:
        if self._network.trace.is_on:
            for fact in facts:
                what = f"{len(fact.packed)} bytes" if fact.packed else "a remove"
                self._tell(f"writes {fact} {fact.key} = {what}")
