"""Executes the engine's output in the only legal order, over a log and a transport.

What has arrived is made durable with one sync; then it is acknowledged, and what is due is
sent. The reactor drives it in a thread, the simulator by its own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from softadastra.errors import InvalidStateError, OtherProtocolError, ProtocolError, StorageError
from softadastra.runtime.commit import Committer
from softadastra.store.dots import DotSet
from softadastra.sync.histories import begins_life
from softadastra.sync.messages import Batch, Message, SnapshotCommit, SnapshotRange
from softadastra.sync.notices import Level
from softadastra.sync.output import Push
from softadastra.sync.records import Record
from softadastra.sync.settings import Now
from softadastra.sync.wire import decode, encode
from softadastra.transport.links import (
    FRAME_BYTES_MAX,
    AuthFailed,
    CallerCut,
    Link,
    LinkDown,
    LinkEvent,
    LinkUp,
    Received,
    Refused,
    SendResult,
    Transport,
    TransportEvent,
    TrustChanged,
)

__all__ = ["Driver", "Pushed"]

FLUSH_SHARE: Final = 0.8
"""After this part of the time that a write may stay unsynced its sync begins: of 50 ms, 10 are left
for the thread to wake up and for the disk. Begun at the end it came 2 to 15 ms too late (measured
on two busy cores)."""


class Pushed:
    """What one push sent."""

    __slots__ = ("batches", "dots", "retried")

    def __init__(self) -> None:
        self.dots: dict[int, DotSet] = {}
        self.batches = 0
        self.retried = 0

    @property
    def writes(self) -> int:
        """How many distinct writes went into batches."""
        return sum(last - first + 1 for dots in self.dots.values() for first, last in dots.ranges())


class Driver:
    """One node's state between a log and a transport. For one thread.

    Args:
        committer: the node's state, and how it changes.
        transport: the connections.
        now: reads both clocks.
        auto_tick: whether data leaves at each turn, or by `push` alone.
        flush_interval_ms: how long `auto_flush=False` may leave a write unsynced.
        arrived: called after peers' writes were merged while there are conflicts.
        give_way: called after each piece of work, holding nothing: others may have their turn.
    """

    def __init__(
        self,
        committer: Committer,
        transport: Transport,
        *,
        now: Callable[[], Now],
        auto_tick: bool,
        flush_interval_ms: int,
        arrived: Callable[[], None],
        give_way: Callable[[], None],
    ) -> None:
        self._committer = committer
        self._engine = committer.engine
        self._transport = transport
        self._now = now
        self._push = Push.ALL if auto_tick else Push.NOTHING
        self._flush_after_ms = round(flush_interval_ms * FLUSH_SHARE)
        self._flush_ms: int | None = None
        self._arrived = arrived
        self._give_way = give_way

    def turn(self, events: list[TransportEvent]) -> None:
        """Take in what has happened, and do all that is due."""
        if self._committer.has_failed:
            self._fall_silent(events)
            return
        if events:
            self._commit(self._take(events))
        try:
            self._decide()
            self.push(self._push)
            self._flush()
            self._remember()
        except (StorageError, InvalidStateError):
            # The commit has noted it. It is tried again when it is due again.
            pass
        self._dial()

    def timeout_ms(self) -> int | None:
        """Give how long nothing will be due; None: until something happens."""
        if self._committer.has_failed:
            return None
        if self._committer.is_dirty and self._flush_ms is None:
            return 0
        with self._committer.lock:
            times = [
                self._engine.deadline(self._push),
                self._engine.dialer.deadline(self._engine.connections.settled),
                self._flush_ms,
            ]
        due = min((time for time in times if time is not None), default=None)
        return None if due is None else max(0, due - self._now().mono_ms)

    def _fall_silent(self, events: list[TransportEvent]) -> None:
        """Take leave of everybody: what this node would say may not be durable here."""
        with self._committer.lock:
            self._engine.dialer.clear()
            self._engine.connections.close(self._now())
            output = self._engine.poll(self._now(), Push.NOTHING)
        for link, message in output.sends:
            self._transport.send(Link(link), encode(message))
        for event in events:
            if isinstance(event, LinkEvent):
                self._transport.drop(event.link)
        for dropped in output.drops:
            self._transport.drop(Link(dropped))

    def _take(self, events: list[TransportEvent]) -> list[Record]:
        """Take in what has happened; give what is to be made durable."""
        records: list[Record] = []
        for event in events:
            self._give_way()
            now = self._now()
            match event:
                case Received(link, payload):
                    try:
                        message = decode(payload)
                    except OtherProtocolError as error:
                        with self._committer.lock:
                            self._engine.refuse(link, error.message, now)
                        continue
                    except ProtocolError as error:
                        with self._committer.lock:
                            self._engine.offend(link, error.message, now)
                        continue
                    is_alone = self._stands_alone(message)
                    if is_alone and records:
                        is_stored = self._commit(records)
                        records = []
                        if not is_stored:
                            continue
                    with self._committer.lock:
                        record = self._engine.receive(link, message, payload, now)
                    if record is not None:
                        records.append(record)
                    if is_alone:
                        self._commit(records)
                        records = []
                case LinkUp(link, dialled, address, node_id):
                    host = "" if dialled else address
                    with self._committer.lock:
                        self._engine.connections.up(
                            link, dialled=dialled, now=now, proved=node_id, host=host
                        )
                case LinkDown(link, reason):
                    with self._committer.lock:
                        self._engine.connections.down(link, reason, now)
                case Refused(link, reason):
                    with self._committer.lock:
                        self._engine.offend(link, reason, now)
                case AuthFailed():
                    self._note_failed(event)
                case TrustChanged():
                    self._note_changed(event)
                case CallerCut(address, reason, count):
                    facts = {"address": address, "reason": reason, "count": count}
                    self._engine.notices.note(Level.WARNING, "connection.cut", **facts)
        return records

    def _stands_alone(self, message: Message) -> bool:
        """Whether a message is to be judged by all that came before it, and what follows by it."""
        match message:
            case SnapshotCommit():
                return True
            case Batch() | SnapshotRange():
                batch = message if isinstance(message, Batch) else message.batch
                if not batch.lives:
                    return False
                with self._committer.lock:
                    return begins_life(self._engine.replica, batch)
            case _:
                return False

    def _note_failed(self, failed: AuthFailed) -> None:
        """Tell that somebody is not who was expected, or is a stranger."""
        facts = {"peer": failed.peer, "address": failed.address, "reason": failed.reason}
        facts |= {"seen": failed.seen, "expected": failed.expected}
        self._engine.notices.note(Level.WARNING, "auth.failed", count=failed.count, **facts)

    def _note_changed(self, change: TrustChanged) -> None:
        """Tell that others are trusted now, and dial them at once."""
        note = self._engine.notices.note
        if change.problem:
            note(Level.ERROR, "trust.refused", error=change.problem, removed=change.removed)
        else:
            note(Level.INFO, "trust.changed", added=change.added, removed=change.removed)
        with self._committer.lock:
            self._engine.dialer.hurry(self._now().mono_ms)

    def _commit(self, records: list[Record]) -> bool:
        """Make what has arrived durable; give whether it is."""
        if not records:
            return True
        try:
            self._committer.commit(records)
        except (StorageError, InvalidStateError):
            # The commit has noted it. What is not durable was not evolved, so nothing speaks of
            # it: peers get no acknowledgement, and send again.
            with self._committer.lock:
                self._engine.delivery.snapshots.undecide()
            return False
        self._committer.watchers.let_pass()
        if self._engine.replica.conflicted:
            self._arrived()
        return True

    def _decide(self) -> None:
        """Commit what this node decides by itself."""
        while True:
            with self._committer.lock:
                decided = self._engine.decide(self._now())
            if decided is None:
                return
            self._committer.commit([decided])

    def _flush(self) -> None:
        """Keep the promise of `auto_flush=False`: no write stays unsynced for longer."""
        now_ms = self._now().mono_ms
        if not self._committer.is_dirty:
            self._flush_ms = None
        elif self._flush_ms is None:
            self._flush_ms = now_ms + self._flush_after_ms
        elif now_ms >= self._flush_ms:
            self._flush_ms = None
            self._committer.sync()

    def _remember(self) -> None:
        """Note in the log how far members have come; losing that costs a batch sent twice."""
        engine = self._engine
        with self._committer.lock:
            changed = engine.members.changed
            if changed and self._committer.remember(changed):
                engine.members.told()

    def _dial(self) -> None:
        with self._committer.lock:
            engine = self._engine
            for attempt in engine.dialer.due(self._now().mono_ms, engine.connections.settled):
                peer = attempt.peer
                attempt.link = self._transport.dial(peer.host, peer.port, peer.node_id)

    def push(self, push: Push) -> Pushed:
        """Send what is due."""
        pushed = Pushed()
        if self._committer.has_failed:
            return pushed
        while True:
            with self._committer.lock:
                output = self._engine.poll(self._now(), push)
            if not (output.sends or output.drops):
                return pushed
            # No peer may hold a write that a power cut takes back here.
            self._committer.sync()
            # Whoever got all now gets nothing at once, unless it has another connection.
            is_done = not output.is_more
            sizes: list[tuple[int, int]] = []
            for link, message in output.sends:
                self._give_way()
                payload = encode(message)
                if len(payload) > FRAME_BYTES_MAX:
                    # One key with several values of the largest size: no connection takes it, so
                    # it is told at each retry, and the rest goes on.
                    facts = {"size_bytes": len(payload), "limit_bytes": FRAME_BYTES_MAX}
                    self._engine.notices.note(Level.ERROR, "message.oversized", **facts)
                    continue
                match self._transport.send(Link(link), payload):
                    case SendResult.SENT:
                        pushed.batches += isinstance(message, Batch)
                        self._engine.trace_sent(link, message)
                        sizes.append((link, len(payload)))
                    case SendResult.FULL:
                        with self._committer.lock:
                            self._engine.unsent(link, message, self._now())
                    case SendResult.GONE:
                        is_done = False
                        with self._committer.lock:
                            self._engine.connections.down(link, "connection lost", self._now())
            with self._committer.lock:
                for link, size_bytes in sizes:
                    self._engine.connections.sent(link, size_bytes)
            for link in output.drops:
                self._transport.drop(Link(link))
            pushed.retried += output.retried
            for number, (first, last) in output.launched:
                pushed.dots.setdefault(number, DotSet()).add(first, last)
            if is_done:
                return pushed

    def close(self) -> None:
        """Take leave of the peers."""
        self._fall_silent([])
