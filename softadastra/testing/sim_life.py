"""One life of a simulated node's process: the real parts, over the twins of disk and network.

It composes log, engine, committer and driver as `softadastra.node.Node` does, and takes turns
as `softadastra.runtime.reactor.Reactor` does, without a thread. Nothing in here is a double of
product code: what it does wrong, the product does wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from random import Random
from typing import NamedTuple, TypeAlias

from softadastra.errors import SoftadastraError
from softadastra.node_settings import engine_options, merge_function, policies_of
from softadastra.options import ClientOptions
from softadastra.packing import pack_value
from softadastra.runtime.commit import Committer
from softadastra.runtime.compaction import Compaction
from softadastra.runtime.driver import Driver
from softadastra.runtime.recovery import recover, settle_place
from softadastra.runtime.settling import Settling
from softadastra.store.siblings import Sibling
from softadastra.store.writes import Assigned, Assignment
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Notice
from softadastra.sync.output import Push
from softadastra.sync.records import Forgotten, Pruned, Released
from softadastra.sync.status import conflicting_value, peer_statuses, sync_state
from softadastra.testing.sim_clock import SimClock
from softadastra.testing.sim_disk import SimDisk
from softadastra.testing.sim_transport import SimTransport
from softadastra.types import Peer, PeerSource, PeerStatus, SyncState, TickResult
from softadastra.wal.log import WriteAheadLog

__all__ = ["SimLife", "Turn", "WriteSettlement"]

WriteSettlement: TypeAlias = Callable[[Sequence[Assignment], Callable[[], bool]], object]


class Turn(NamedTuple):
    """What one turn of the driver was about."""

    events: int
    """What had happened to links."""
    operations: int
    """What was then asked of disk and network."""
    timeout_ms: int | None
    """After how long the driver wants the next turn; None: when something happens."""


class SimLife:
    """A process, from its start to its end.

    Args:
        options: the node's settings.
        machine: where it runs.
        disk: its disk.
        clock: its clocks.
        rng: for incarnation, nonce and jitter.
        slack_bytes: how much of its log may be obsolete before it is rewritten, as in
            `runtime.compaction.Compaction`.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        machine: str,
        disk: SimDisk,
        clock: SimClock,
        rng: Random,
        slack_bytes: int,
    ) -> None:
        self.options = options
        self.log = WriteAheadLog(options.resolved_wal_path(), disk=disk)
        self._machine = machine
        self._disk = disk
        self._clock = clock
        self._rng = rng
        self._slack_bytes = slack_bytes

    engine: Engine
    committer: Committer
    transport: SimTransport
    is_settling_due: bool
    """Whether there may be conflicts to settle: `settle` does what a node does in a thread."""
    is_compacting_due: bool
    """Whether most of the log may be obsolete: `compact` does what a node does in a thread."""
    _driver: Driver
    _compaction: Compaction
    _rewriting: Generator[None] | None
    _settling: Settling

    def open(self, transport: SimTransport, *, write: WriteSettlement, is_traced: bool) -> None:
        """Recover from the log.

        Args:
            transport: its links.
            write: writes what settles a conflict, as `Committer.write`.
            is_traced: whether every event is to be told.

        Raises:
            WalCorruptionError, StorageError: as `Client.open` does.
        """
        options, clock = self.options, self._clock
        incarnation = self._rng.getrandbits(64)
        try:
            header = self.log.open(node_id=options.node_id, incarnation=incarnation)
            self.engine = recover(
                self.log.replay(),
                node_id=options.node_id,
                incarnation=header.incarnation,
                policies=policies_of(options),
                options=engine_options(options),
                nonce=self._rng.getrandbits(64),
                jitter=self._rng.random,
                is_new=header.incarnation == incarnation,
            ).engine
            fresh = self._rng.getrandbits(64)
            settle_place(self.engine, self.log, host=self._machine, incarnation=fresh)
        except BaseException:
            self.log.close()
            raise
        self.engine.notices.is_traced = is_traced
        self.committer = Committer(
            self.engine, self.log, flush=options.auto_flush, wall_ms=lambda: clock.now().wall_ms
        )
        self.transport = transport
        self._driver = Driver(
            self.committer,
            transport,
            now=clock.now,
            auto_tick=options.auto_tick,
            flush_interval_ms=round(options.flush_interval * 1000),
            arrived=self._conflicts_arrived,
            give_way=lambda: None,
        )
        self._compaction = Compaction(
            self.committer,
            self.log,
            mono_ms=lambda: clock.now().mono_ms,
            slack_bytes=self._slack_bytes,
            at_once_bytes=0,
        )
        self.committer.size.outgrown = self._outgrown
        self.committer.size.sleep = lambda _: None
        self._compaction.is_due()
        self._settling = Settling(
            self.committer, write=write, merge=self._merge, settled=transport.wake
        )
        self.is_settling_due = True
        self.is_compacting_due = False
        self._rewriting = None

    def dial(self, peer: Peer) -> None:
        """Register a peer, as `Client.connect` does, without waiting for it."""
        member = self.engine.register(peer, PeerSource.MANUAL, self._clock.now())
        if member is not None:
            self.committer.commit([member])
        self.transport.wake()

    def hang_up(self, node_id: str) -> None:
        """End the connection with a peer and stop dialling it, as `Client.disconnect` does."""
        self.engine.connections.disconnect(node_id, self._clock.now())
        self.transport.wake()

    def forget(self, node_id: str) -> None:
        """Strike a peer off, as `Client.forget` does."""
        self.hang_up(node_id)
        self.committer.commit([Forgotten(node_id)])

    def write(self, asked: Sequence[Assignment]) -> list[Assigned | None]:
        """Commit local writes, and let the driver send them."""
        results = self.committer.write(asked)
        self.transport.wake()
        return results

    def settle(self) -> None:
        """Settle the conflicts whose policy needs nobody."""
        self.is_settling_due = False
        self.is_settling_due |= self._settling.settle()

    def compact(self) -> int | None:
        """Do a step of rewriting the log, as a node does in a thread.

        Returns:
            After how many milliseconds there is more to do; None: when it has grown.
        """
        steps = self._rewriting
        if steps is None:
            if not self._compaction.is_due():
                return None
            steps = self._rewriting = self._compaction.rewrite()
        try:
            next(steps)
        except StopIteration:
            self._rewriting = None
            return 0 if self._compaction.is_due() else None
        except SoftadastraError as error:
            self._rewriting = None
            self._compaction.put_off(error)
            return self._compaction.wait_ms()
        return 0

    def _outgrown(self) -> None:
        self.is_compacting_due = True

    def _conflicts_arrived(self) -> None:
        self.is_settling_due = True

    def release(self) -> int:
        """Let go what is held back, as `Client.queue_pending` does."""
        held = sync_state(self.engine).held_count
        if held:
            self.committer.commit([Released(self.engine.replica.top)])
            self.transport.wake()
        return held

    def tick(self, *, prune: bool) -> TickResult:
        """Send what is due, as `Client.tick` does."""
        pushed = self._driver.push(Push.ALL)
        pruned = sync_state(self.engine).acknowledged_count if prune else 0
        if pruned:
            self.committer.commit([Pruned(self.engine.floor + pruned)])
        return TickResult(
            retried_count=pushed.retried,
            pruned_count=pruned,
            batch_size=pushed.writes,
            sent_count=pushed.batches,
            connected_peers=len(self.engine.connections.active),
        )

    def hurry(self) -> None:
        """Let what is done every half minute be due: telling what is here, and collection."""
        self.engine.membership.collect_ms = 0
        for session in self.engine.connections.sessions.values():
            if session.is_active:
                session.have_ms = session.known_ms = 0
        self.transport.wake()

    def sync_state(self) -> SyncState:
        """Give the state of the outbox."""
        return sync_state(self.engine)

    def peers(self) -> list[PeerStatus]:
        """Give every known peer and how it stands."""
        return peer_statuses(self.engine, self._clock.now())

    def turn(self) -> Turn:
        """Take what has arrived, and do all that is due."""
        before = self._operations
        events = self.transport.poll(0)
        self._driver.turn(events)
        return Turn(len(events), self._operations - before, self._driver.timeout_ms())

    def timeout_ms(self) -> int | None:
        """Give how long nothing will be due, in this node's time."""
        return self._driver.timeout_ms()

    def take_notices(self) -> list[Notice]:
        """Give what there is to tell, and forget it."""
        return self.engine.notices.take()

    def close(self) -> None:
        """Take leave of the peers, sync and unlock.

        Raises:
            StorageError: the last sync failed.
        """
        if self._rewriting is not None:
            self._rewriting.close()
        self._driver.close()
        self.transport.close()
        try:
            self.committer.sync()
        finally:
            self.log.close()

    @property
    def _operations(self) -> int:
        return self._disk.operations + self.transport.operations

    def _merge(self, key: str, siblings: Sequence[Sibling]) -> bytes:
        function = merge_function(self.options, key)
        replica = self.engine.replica
        value = function(key, [conflicting_value(replica, sibling) for sibling in siblings])
        return pack_value(value, max_bytes=self.options.max_value_bytes)
