"""One simulated node: the calls of a client (`sim_client.py`), and faults as verbs.

A machine (clock, disk) outlives the lives of its process. Every write is told to the checkers
with its outcome: accepted, refused, or unknown after a disk that failed in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from random import Random
from typing import Final

from softadastra.errors import InvalidStateError, StorageError
from softadastra.options import ClientOptions
from softadastra.store.writes import Assigned, Assignment
from softadastra.testing.checkers import BrokenPromiseError, Checks
from softadastra.testing.checkers.ledger import Fact
from softadastra.testing.sim_client import SimClient
from softadastra.testing.sim_clock import SimClock
from softadastra.testing.sim_disk import SimDisk
from softadastra.testing.sim_life import SimLife
from softadastra.testing.sim_network import PORT, SimNetwork
from softadastra.testing.sim_schedule import Schedule
from softadastra.testing.sim_witness import Witness
from softadastra.types import Peer

__all__ = ["NodeState", "SimNode"]


SETTLING_DELAY_MS: Final = 5
"""Between the arrival of a conflict and its settlement: other things may come in between."""
COMPACTING_STEP_MS: Final = 3
"""And between two steps of rewriting a log."""


class NodeState(Enum):
    """What can be done with a node."""

    RUNNING = "running"
    PAUSED = "paused"
    DOWN = "down"
    """Crashed or closed; `restart` brings it back."""
    LOST = "lost"
    """Gone for good, with its disk."""


class SimNode(SimClient):
    """A node of a `SimCluster`, which makes it. Not thread-safe.

    Calls raise InvalidStateError when the node is not running, and otherwise what the same
    call of a `Client` raises.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        machine: str,
        schedule: Schedule,
        network: SimNetwork,
        checks: Checks,
        rng: Random,
        allocation_bytes_max: int,
        slack_bytes: int,
    ) -> None:
        super().__init__(options, machine)
        self.path = options.resolved_wal_path()
        """The log."""
        self.clock = SimClock(schedule)
        self.disk = SimDisk(rng, allocation_bytes_max=allocation_bytes_max)
        self.state = NodeState.DOWN
        """What can be done with it now."""
        self.life: SimLife | None = None
        self.peers_dialled: dict[str, Peer] = {}
        """Whom it dials, also after a restart or a wipe."""
        self._schedule = schedule
        self._network = network
        self._checks = checks
        self._rng = rng
        self._slack_bytes = slack_bytes
        self._is_turn_due = False
        self._alarm_ms: int | None = None

    @property
    def address(self) -> Peer:
        """Where other nodes reach it."""
        return Peer(self.node_id, self.machine, PORT)

    @property
    def is_running(self) -> bool:
        """Whether it takes calls."""
        return self.state is NodeState.RUNNING

    @property
    def is_poisoned(self) -> bool:
        """Whether a sync failed, so that it writes no more until it is restarted."""
        return self.life is not None and self.life.log.is_poisoned

    # Whom it meets.

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
        life = SimLife(
            self.options,
            machine=self.machine,
            disk=self.disk,
            clock=self.clock,
            rng=self._rng,
            slack_bytes=self._slack_bytes,
        )
        transport = self._network.attach(self.machine, partial(self._wake, life))
        transport.sending = partial(self._checks.sending, self)
        try:
            life.open(
                transport,
                write=partial(self._write_settlement, life),
                is_traced=self._network.trace.is_on,
            )
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

    def copy(self) -> bytes:
        """Give what its disk holds of its log, as a backup that was made now.

        Raises:
            InvalidStateError: there is no log.
        """
        content = self.disk.durable(self.path)
        if content is None:
            raise InvalidStateError(f"{self.machine} has no log on its disk that could be copied")
        self._tell("has its log copied")
        return bytes(content)

    def restore(self, image: bytes, *, in_place: bool = True) -> None:
        """End the process, and let its log be an old copy; `restart` goes on from there.

        Args:
            image: a copy of a log of this node.
            in_place: whether it is written into the file; else it is another file of that name.

        Raises:
            InvalidStateError: the node is lost for good.
        """
        if self.state is NodeState.LOST:
            raise InvalidStateError(f"{self.machine} is lost for good, with its disk")
        self._tell(f"has its log replaced by an old copy{'' if in_place else ', another file'}")
        self._end_process(is_silent=False)
        if self.disk.durable(self.path) is not None:
            self._checks.disk_lost(self)
        self.disk.replace(self.path, image, in_place=in_place)
        self._checks.disk_restored(self)

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

    def hurry(self) -> None:
        """Let it tell its peers what it has now, and look what it may collect.

        A node does both every half minute or so: in a short run chance has no other way to let
        them come before or after what else happens.
        """
        self._tell("does now what it does every half minute")
        self.running().hurry()

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

    def _write(self, asked: list[Assignment]) -> Sequence[Assigned | None]:
        life = self.running()
        return self._witnessed(life, asked, lambda: life.write(asked))

    def _witnessed(
        self,
        life: SimLife,
        asked: Sequence[Assignment],
        write: Callable[[], Sequence[Assigned | None]],
        *,
        is_settlement: bool = False,
    ) -> Sequence[Assigned | None]:
        """Write, and tell the checkers what became of it."""
        witness = Witness(life, self._checks.lineage, asked, is_settlement=is_settlement)
        was_poisoned = life.log.is_poisoned
        try:
            results = write()
        except StorageError:
            if was_poisoned or not life.log.is_poisoned:
                self._tell(f"refuses to write {asked[0][0]}")
            else:
                # The sync failed: after a restart the record is there, or it is not.
                self._checks.wrote(self, witness.unknown())
            raise
        facts = witness.accepted(results)
        self._tell_facts(facts)
        self._checks.wrote(self, facts)
        return results

    def _write_settlement(
        self, life: SimLife, asked: Sequence[Assignment], guard: Callable[[], bool]
    ) -> bool:
        """Write what settles a conflict, if it is still the same."""
        replica = life.engine.replica

        def write() -> list[Assigned | None]:
            is_done = life.committer.write(asked, guard)
            row: Assigned = (asked[0][0], 0, "updated", self.node_id, replica.top)
            return [row if is_done else None]

        results = self._witnessed(life, asked, write, is_settlement=True)
        return results[0] is not None

    def _settle(self, life: SimLife) -> None:
        if life is self.life and self.state is NodeState.RUNNING:
            life.settle()
        self._wake(life)

    def _compact(self, life: SimLife) -> None:
        if life is not self.life:
            return
        if self.state is not NodeState.RUNNING:
            # It goes on at the first turn after the pause.
            life.is_compacting_due = True
            return
        delay_ms = life.compact()
        if delay_ms is not None:
            step_ms = max(COMPACTING_STEP_MS, self.clock.world_delay_ms(delay_ms))
            self._schedule.after(step_ms, partial(self._compact, life))
        if delay_ms != 0:
            # It has ended, and there may be something to tell.
            self._wake(life)

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
        try:
            turn = life.turn()
        except BrokenPromiseError:
            raise
        except Exception as error:  # of any kind: a reactor would take this node offline
            raise BrokenPromiseError("crash", f"{self.machine} stopped: {error!r}") from error
        self._checks.turned(self, turn)
        if life.is_settling_due:
            # It is done by a thread of its own, a little later.
            life.is_settling_due = False
            self._schedule.after(SETTLING_DELAY_MS, partial(self._settle, life))
        if life.is_compacting_due:
            life.is_compacting_due = False
            self._schedule.after(COMPACTING_STEP_MS, partial(self._compact, life))
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
        self._network.trace.tell(self.machine, words)

    def _tell_facts(self, facts: list[Fact]) -> None:
        if self._network.trace.is_on:
            for fact in facts:
                what = f"{len(fact.packed)} bytes" if fact.packed else "a remove"
                self._tell(f"writes {fact} {fact.key} = {what}")
