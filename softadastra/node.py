"""An open node: the composition root, which alone knows the log, the engine and the transport.

A client has one from `open` to `close`. Both may be interrupted at any call by an exception of a
signal handler: `close` then ends what was begun, and may be called again until it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

from softadastra.arguments import peer_name
from softadastra.discovering import Discovering
from softadastra.errors import InvalidStateError, NotFoundError, StorageError, TransportError
from softadastra.networking import listening_transport
from softadastra.node_settings import anchored, describe, merge_function
from softadastra.opening import recovered_engine
from softadastra.options import ClientOptions
from softadastra.packing import check_key, pack_value
from softadastra.runtime.clock import read_clocks, read_wall_ms
from softadastra.runtime.commit import Committer
from softadastra.runtime.compaction import Compaction
from softadastra.runtime.compactor import Compactor
from softadastra.runtime.driver import Driver, Pushed
from softadastra.runtime.events import Events
from softadastra.runtime.finding import Finding
from softadastra.runtime.giving_way import GivingWay
from softadastra.runtime.log_vitals import log_vitals
from softadastra.runtime.reactor import Reactor
from softadastra.runtime.settling import Settler, Settling
from softadastra.runtime.waiting import is_synced, shielded, top_of, wanted_of
from softadastra.store.replica import Replica
from softadastra.store.siblings import Sibling
from softadastra.store.writes import Assigned, Assignment
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Level, Notice
from softadastra.sync.output import Push
from softadastra.sync.records import Placed, Record, RecordEncoder
from softadastra.sync.settings import Now
from softadastra.sync.status import conflicting_value
from softadastra.transport.links import Transport
from softadastra.transport.offline import Offline
from softadastra.types import NodeInfo, Peer, PeerSource, PutResult
from softadastra.vitals import LogVitals
from softadastra.wal.disk import OsDisk, free_bytes
from softadastra.wal.log import WriteAheadLog

__all__ = ["Node"]


class Node:
    """One node: open from `open` to `close`, once.

    Args:
        options: valid settings, which nobody changes.
    """

    engine: Engine
    replica: Replica
    lock: Lock
    commit: Callable[[Sequence[Record]], None]
    committer: Committer
    _driver: Driver

    def __init__(self, options: ClientOptions) -> None:
        self._options = anchored(options)
        self._max_key_bytes = options.max_key_bytes
        self._max_value_bytes = options.max_value_bytes
        self.events = Events(options.node_id)
        self._reactor: Reactor | None = None
        self._settler: Settler | None = None
        self._compactor: Compactor | None = None
        self.discovery = Discovering(options, self.events)
        self._info: NodeInfo | None = None
        self.now: Callable[[], Now] = read_clocks
        self._port: int | None = None
        self._started_at_ms = self.now().wall_ms
        self._log: WriteAheadLog | None = None
        if options.enable_wal:
            self._log = WriteAheadLog(options.resolved_wal_path(), disk=OsDisk())
        self._is_recovered = False

    def open(self) -> None:
        """Lock the log and recover from it. When it raises, `close` is to be called.

        Raises:
            StoreLockedError, WalCorruptionError, StoreError, StorageError: see `Client.open`.
        """
        self.engine = recovered_engine(self._options, self._log, self.events)
        self.replica = self.engine.replica
        if self._log is not None:
            self._log.anchor(self._options.resolved_wal_path())
        self.committer = Committer(
            self.engine, self._log, flush=self._options.auto_flush, wall_ms=read_wall_ms
        )
        path = self._options.resolved_wal_path()
        self.committer.refusals.free_bytes = lambda: free_bytes(path)
        self.committer.dirtied = self._wake_to_sync
        self.committer.noted = self.wake
        self.lock = self.committer.lock
        self.commit = self.committer.commit
        self.events.listeners.changed = self._trace
        self._trace()
        self._is_recovered = True
        shielded(self._start)

    def close(self) -> None:
        """Stop the reactor, sync, unlock. Never raises: what fails becomes an event."""
        if self._is_recovered:
            self._stop_reactor()
            if self._compactor is not None:
                self._compactor.stop()
            self.committer.close()
            self.committer.watchers.end()
        syncs = [self.committer.sync] if self._is_recovered else []
        closes = [self._log.close] if self._log is not None else []
        for step in (*syncs, *closes):
            try:
                step()
            except StorageError as error:
                self.emit(Level.ERROR, "wal.failed", error=error.message)
        if self._is_recovered:
            self._tell()
            self.emit(Level.INFO, "node.closed")
            self._is_recovered = False
        self.events.listeners.end()

    def _trace(self) -> None:
        """Have each write and message told while somebody wants to know."""
        self.engine.notices.is_traced = self.events.is_enabled(Level.DEBUG)

    # Writing.

    def key(self, key: object) -> str:
        """Check a key."""
        return check_key(key, max_bytes=self._max_key_bytes)

    def assignment(self, key: object, value: object) -> Assignment:
        """Check and pack a write."""
        packed = pack_value(value, self._max_value_bytes)
        return check_key(key, self._max_key_bytes), packed, 0

    def write(
        self, asked: Sequence[Assignment], guard: Callable[[], bool] | None = None
    ) -> list[Assigned | None]:
        """Commit local writes, and let the reactor send them."""
        reactor = self._reactor
        try:
            results = self.committer.write(asked, guard)
        except BaseException:
            self._has_notices()
            raise
        if reactor is None and self.engine.notices.waiting:
            self._tell()
        elif reactor is not None and self.engine.connections.active and self._options.auto_tick:
            reactor.wake()
        return results

    def put(self, key: object, value: object) -> PutResult:
        """Commit a put."""
        (result,) = self.write([self.assignment(key, value)])
        assert result is not None, "a put always has a result"
        return PutResult(*result)

    def _has_notices(self) -> None:
        """Have it told what another thread has noted."""
        (self._tell if self._reactor is None else self.wake)()

    def _tell(self) -> None:
        """Emit what there is to tell, when there is no reactor to do it."""
        with self.lock:
            notices = self.engine.notices.take_together()
        self.events.emit(*notices)

    def emit(self, level: Level, event: str, **fields: object) -> None:
        """Emit an event of this node. From any thread."""
        self.events.emit(Notice(level, event, fields))

    # The reactor and its transport.

    @property
    def transport_port(self) -> int | None:
        """The port that is bound; None when the transport does not run, or has failed."""
        reactor = self._reactor
        return self._port if reactor is not None and reactor.is_running else None

    @property
    def has_failed(self) -> bool:
        """Whether a bug has ended the reactor, and nobody has started another one since."""
        reactor = self._reactor
        return reactor is not None and reactor.has_failed

    def _start(self) -> None:
        """Start what runs beside the callers."""
        if self._log is not None:
            compaction = Compaction(self.committer, self._log, mono_ms=lambda: self.now().mono_ms)
            self._compactor = Compactor(
                compaction, give_way=GivingWay(self.committer).pause, noted=self._has_notices
            )
            self.committer.size.outgrown = self._compactor.tell
            self._compactor.start()
            self._compactor.tell()
        self._go_offline()

    def _go_offline(self) -> None:
        """Run without connections; without a thread when there is nothing to sync in time."""
        self._stop_reactor()
        with self.lock:
            self.engine.dialer.clear()
        if self._log is not None and not self._options.auto_flush:
            self._start_reactor(Offline())

    def _start_reactor(self, transport: Transport) -> None:
        options, giving_way = self._options, GivingWay(self.committer)
        self._driver = Driver(
            self.committer,
            transport,
            now=self.now,
            auto_tick=options.auto_tick,
            flush_interval_ms=round(options.flush_interval * 1000),
            arrived=self._look_at_conflicts,
            give_way=giving_way.pause,
        )
        self._reactor = Reactor(
            self.committer,
            transport,
            driver=self._driver,
            events=self.events,
            giving_way=giving_way,
        )
        # Without a transport nothing arrives; what is unsettled from before may be sent later.
        if not isinstance(transport, Offline):
            settling = Settling(
                self.committer,
                write=self.committer.write,
                merge=self._merge,
                settled=self.wake,
            )
            self._settler = Settler(settling)
            self._settler.start()
            self._settler.tell()
        self._reactor.start()

    def _stop_reactor(self) -> None:
        # Each is forgotten only when it has stopped, so that an interrupt leaves none behind.
        self.discovery.stop()
        if self._settler is not None:
            self._settler.stop()
            self._settler = None
        if self._reactor is not None:
            self._reactor.stop()
            self._reactor = None
        self._port = None
        with self.lock:
            self.committer.changed.notify_all()

    def _look_at_conflicts(self) -> None:
        settler = self._settler
        if settler is not None:
            settler.tell()

    def _merge(self, key: str, siblings: Sequence[Sibling]) -> bytes:
        """Let the application's function make one value of a key's siblings."""
        function = merge_function(self._options, key)
        value = function(key, [conflicting_value(self.replica, sibling) for sibling in siblings])
        return pack_value(value, max_bytes=self._max_value_bytes)

    def start_transport(self) -> None:
        """Bind, and dial every known peer; or raise, and be as offline as before."""
        options = self._options
        if not options.enable_transport:
            raise TransportError(
                "transport is disabled: set enable_transport=True in the options, "
                "or make them with with_transport(host, port)"
            )
        if self.transport_port is not None:
            return
        for peer in options.peers:
            self._check_other(peer)
        shielded(self._start_transport)
        where = {"host": options.transport_host, "port": self._port}
        self.emit(Level.INFO, "transport.started", **where, security=options.security)

    def _start_transport(self) -> None:
        transport, port = listening_transport(self._options)
        try:
            self._stop_reactor()
            self._know_peers()
            self._port = port
            self._start_reactor(transport)
        except BaseException:
            self._stop_reactor()
            transport.close()
            self._go_offline()
            raise

    def _know_peers(self) -> None:
        """Have the peers dialled that are remembered, and those of the options."""
        with self.lock:
            for member in self.engine.members:
                if member.host:
                    peer = Peer(member.node_id, member.host, member.port)
                    is_learned = member.source is not PeerSource.MANUAL
                    self.engine.dialer.add(peer, self.now().mono_ms, is_learned=is_learned)
        for peer in self._options.peers:
            with self.lock:
                new = self.engine.register(peer, PeerSource.MANUAL, self.now())
            if new is not None:
                self.commit([new])

    def stop_transport(self) -> None:
        """Take leave of the peers and unbind."""
        if self.transport_port is None:
            return
        shielded(self._go_offline)
        self.emit(Level.INFO, "transport.stopped")

    def start_discovery(self) -> None:
        """Announce this node where it listens, and let the reactor dial who is found."""
        port = self.discovery.check(self.transport_port)
        finding = Finding(self.committer, self.events, now=self.now, wake=self.wake)
        shielded(lambda: self.discovery.start(port, finding))

    def wake(self) -> None:
        """Let the reactor look at what has changed."""
        reactor = self._reactor
        if reactor is not None:
            reactor.wake()

    def _wake_to_sync(self) -> None:
        """Let the reactor sync in time what was written; not itself, as it looks before it waits.

        Woken by each batch that it commits it would take an empty turn behind each.
        """
        reactor = self._reactor
        if reactor is not None and not reactor.is_current:
            reactor.wake()

    def push(self, push: Push) -> Pushed:
        """Send what is due now."""
        reactor = self._reactor
        if reactor is None and self.engine.notices.waiting:
            self._tell()
        if reactor is None or self.transport_port is None:
            return Pushed()
        # None: it ended before it came to that.
        return reactor.call(lambda: self._driver.push(push)) or Pushed()

    # Peers.

    def _check_other(self, peer: Peer) -> None:
        if peer.node_id == self._options.node_id:
            raise TransportError(
                f"{peer} is this node itself: each node needs its own node_id and port"
            )

    def connect(self, peer: Peer, timeout: float) -> None:
        """Register a peer and wait until it is connected, or has failed to be."""
        self._check_other(peer)
        engine = self.engine
        with self.lock:
            # Asked under the lock: a transport that stops lets go of all attempts under it.
            if self.transport_port is None:
                raise InvalidStateError("the transport does not run: call start_transport() first")
            member = engine.register(peer, PeerSource.MANUAL, self.now())
            attempt = engine.dialer.attempts[peer.node_id]
            failures = attempt.failed_total
        if member is not None:
            self.commit([member])
        self.wake()

        def is_settled() -> bool:
            return peer.node_id in engine.connections.settled or attempt.failed_total > failures

        settled = self.wait(is_settled, timeout)
        if peer.node_id in engine.connections.active:
            return
        if self.transport_port is None:
            reason, again = "the transport was stopped", "when it is started again"
        else:
            reason = attempt.last_error if settled else f"no answer within {timeout:g} s"
            again = "in the background"
        raise TransportError(
            f"cannot connect to {peer}: {reason}; it stays registered and is tried again {again}",
            peer=str(peer),
            reason=reason,
        )

    def disconnect(self, node_id: str) -> None:
        """End the connection with a peer and stop dialling it."""
        with self.lock:
            self.engine.connections.disconnect(node_id, self.now())
        self.wake()

    def known_peer(self, peer: Peer | str) -> str:
        """Give the node id of a known peer, from it, its name or its address."""
        named = peer_name(peer)
        members = self.engine.members
        # The name comes first: it may itself read as an address.
        node_id = named if named in members else named.rpartition("@")[0]
        if node_id not in members:
            raise NotFoundError(f"no peer {named!r} is known", peer=named)
        return node_id

    def synced(self, peers: str | int | Iterable[str], up_to: int | None) -> Callable[[], bool]:
        """Give what tells whether own writes up to now, or up to a number, are durable at peers."""
        wanted = wanted_of(peers)
        with self.lock:
            top = top_of(up_to, self.replica.top)
        return lambda: is_synced(self.engine.members, top, wanted)

    def wait(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until a condition on the engine holds, or the transport stops, or time is up."""
        self.committer.changed.wait_for(lambda: condition() or self.transport_port is None, timeout)
        with self.lock:
            return condition()

    # The node.

    def backup(self, path: Path) -> None:
        """Copy the log to a new file."""
        if self._log is None:
            raise InvalidStateError("a memory-only node has no log to back up")
        self.committer.sync()
        # Nowhere: a file in the place of the log itself, too, may get the old one's number.
        encode = RecordEncoder(self.replica.origins).encode
        self._log.copy_to(path, [encode(Placed(host="", device=0, inode=0))])

    def log_vitals(self) -> LogVitals | None:
        """Give how the log is; None without one."""
        if self._log is None or self._compactor is None:
            return None
        free = free_bytes(self._options.resolved_wal_path())
        return log_vitals(self._log, self.committer, self._compactor.compaction, free_bytes=free)

    def compact(self) -> None:
        """Rewrite the log without what is obsolete."""
        if self._compactor is not None:
            self._compactor.compact()

    def node_info(self, *, refresh: bool = False) -> NodeInfo:
        """Describe this node."""
        now_ms = self.now().wall_ms
        if self._info is None or refresh:
            self._info = describe(self._options, started_at_ms=self._started_at_ms, now_ms=now_ms)
        return replace(self._info, uptime_ms=max(0, now_ms - self._started_at_ms))
