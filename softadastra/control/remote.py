"""A node of another process, asked over its control socket."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from softadastra.control import calls
from softadastra.control.calls import About, Call, Stream, Write
from softadastra.control.channel import Channel
from softadastra.control.connecting import connected, silent_node
from softadastra.control.failures import failure_of
from softadastra.control.frames import Reply, decode_reply, encode_request
from softadastra.control.places import addresses, log_identity
from softadastra.control.remote_watch import RemoteWatch
from softadastra.control.shapes import from_plain
from softadastra.control.unreachable import NodeGoneError
from softadastra.errors import SoftadastraError, StorageError
from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.packing import check_key, pack_value
from softadastra.types import (
    Conflict,
    Entry,
    NodeInfo,
    Peer,
    PeerStatus,
    PutResult,
    Storable,
    SyncState,
    TickResult,
    TombstoneHold,
    Value,
)
from softadastra.vitals import Vitals

if TYPE_CHECKING:
    from softadastra.batch import Batch
    from softadastra.store.writes import Assigned, Assignment

__all__ = ["SILENCE_SECONDS", "RemoteNode", "find_node"]

T = TypeVar("T")

SILENCE_SECONDS: Final = 5.0
"""A node that says nothing for so long hangs: it speaks each second while it works on an answer."""

SLICE_SECONDS: Final = 2.0
"""A wait is asked for in slices, so that who ends a command that waits leaves nothing waiting."""


def find_node(log: Path, *, node_id: str, silence: float | None = None) -> RemoteNode | None:
    """Look for the node that has a log open.

    Args:
        log: the log.
        node_id: what to call it, when it does not answer.
        silence: for how many seconds it may say nothing, now and later; None: SILENCE_SECONDS.

    Returns:
        The node; None when none answers for this log.

    Raises:
        NodeSilentError: it hangs.
        StorageError: it is another user's.
        ProtocolError: it speaks another version.
    """
    silence = SILENCE_SECONDS if silence is None else silence
    for address in addresses(log):
        try:
            channel, about = connected(address, log, node_id, silence)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError, NodeGoneError):
            continue  # nobody listens, or no more
        except PermissionError as error:
            raise StorageError(
                f"the node of {str(log)!r} is another user's, who alone can speak with it: run this"
                " as that user",
                errno=errno.EACCES,
                filename=str(address),
            ) from error
        except OSError as error:
            if isinstance(error, SoftadastraError):
                raise
            continue  # a path that is too long, or no socket at all
        if about.place == log_identity(log):
            return RemoteNode(address, log, about, channel, silence=silence)
        channel.close()
    return None


class RemoteNode:
    """The `Operations` of a node of another process. Close it when nothing more is to be asked.

    Every call raises what the node raises, and besides `NodeSilentError`, `NodeGoneError` and
    `ProtocolError`. Safe to use from any thread.

    Args:
        address: its control socket.
        log: its log.
        about: who it says it is.
        channel: a connection with it.
        silence: for how many seconds it may say nothing.
    """

    def __init__(
        self, address: Path, log: Path, about: About, channel: Channel, *, silence: float
    ) -> None:
        self._silence = silence
        self._address = address
        self._log = log
        self.about = about
        self._idle = [channel]
        """Connections that nobody uses at the moment."""

    def close(self) -> None:
        """Leave the node. What is asked later connects again."""
        while self._idle:
            self._idle.pop().close()

    # How it is asked.

    def _ask(self, call: Call[T], **values: object) -> T:
        with self._asked(call, values) as channel:
            while True:
                kind, content = self._reply(channel)
                if kind is Reply.RESULT:
                    result: T = from_plain(call.result, content)
                    return result

    def _stream(self, call: Stream[T], **values: object) -> Iterator[T]:
        with self._asked(call, values) as channel:
            while True:
                kind, content = self._reply(channel)
                if kind is Reply.RESULT:
                    return
                if kind is Reply.PART:
                    yield from_plain(call.result, content)

    @contextmanager
    def _asked(self, call: Call[Any], values: Mapping[str, object]) -> Iterator[Channel]:
        """Ask, on a connection that is kept when all of the answer was taken."""
        request = encode_request(call.name, call.plain_arguments(values))
        channel = self._connection()
        is_kept = False
        try:
            with suppress(BrokenPipeError):  # who closes at once has said why
                channel.send(request, silence=self._silence)
            yield channel
            is_kept = True
        except TimeoutError:
            raise silent_node(self.about.node_id, self.about.pid, self._silence) from None
        except ConnectionError as error:
            if isinstance(error, SoftadastraError):
                raise
            raise self._gone() from error
        finally:
            if is_kept:
                self._idle.append(channel)
            else:
                channel.close()

    def _connection(self) -> Channel:
        while self._idle:
            channel = self._idle.pop()
            if channel.is_quiet:
                return channel
            channel.close()  # the node has ended it, or is about to say that it does
        try:
            channel, about = connected(self._address, self._log, self.about.node_id, self._silence)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise self._gone() from error
        if about.pid != self.about.pid:
            channel.close()
            raise self._gone()
        return channel

    def _reply(self, channel: Channel) -> tuple[Reply, Any]:
        payload = channel.receive(silence=self._silence)
        if payload is None:
            raise self._gone()
        kind, content = decode_reply(payload)
        if kind is Reply.ERROR:
            raise failure_of(content)
        return kind, content

    def _gone(self) -> NodeGoneError:
        about = self.about
        return NodeGoneError(
            f"node {about.node_id} (pid {about.pid}) ended before it answered; whether it did what"
            " was asked is not known: look, then ask again",
            node_id=about.node_id,
            pid=about.pid,
        )

    def stop(self, timeout: float) -> bool:
        """Have the node closed, and wait until it is.

        Args:
            timeout: seconds.

        Returns:
            Whether it was closed, and its log unlocked, in time.

        Raises:
            InvalidStateError: it is part of an application, which alone can end it.
        """
        with self._asked(calls.STOP, {}) as channel:
            while self._reply(channel)[0] is not Reply.RESULT:
                pass
            # It says nothing more: the end of the connection is the end of the node.
            try:
                return channel.receive(silence=timeout) is None
            except TimeoutError:
                return False
            except ConnectionResetError:
                return True

    # Values.

    def put(self, key: str, value: Storable, /) -> PutResult:
        """Store a value."""
        return self._ask(calls.PUT, key=key, value=value)

    def remove(self, key: str, /, *, seen: Iterable[str] | None = None) -> bool:
        """Remove a key; False when it is absent."""
        return self._ask(calls.REMOVE, key=key, seen=None if seen is None else list(seen))

    def entry(self, key: str, /) -> Entry | None:
        """Give a key's value with where it came from."""
        return self._ask(calls.ENTRY, key=key)

    def items(self, prefix: str = "", /) -> Iterator[tuple[str, Value]]:
        """Give the keys with a prefix and their values, in order."""
        return self._stream(calls.ITEMS, prefix=prefix)

    def batch(self) -> Batch:
        """Gather writes here; the node gets them together when the block ends."""
        from softadastra.batch import Batch

        def key(key: object) -> str:
            return check_key(key, max_bytes=self.about.max_key_bytes)

        def assignment(name: object, value: object) -> Assignment:
            packed = pack_value(value, max_bytes=self.about.max_value_bytes)
            return key(name), packed, 0

        return Batch(assignment, key, self._write)

    def _write(self, asked: Sequence[Assignment]) -> list[Assigned | None]:
        # What is removed has no packed value at all, see TOMBSTONE.
        writes = [Write(key, packed or None) for key, packed, _ in asked]
        results = self._ask(calls.BATCH, writes=writes)
        return [
            each and (each.key, each.version, each.status, each.origin, each.n) for each in results
        ]

    def size(self) -> int:
        """Count the keys that have a value."""
        return self._ask(calls.SIZE)

    def digest(self) -> str:
        """Give the hash of the state."""
        return self._ask(calls.DIGEST)

    def conflicts(self) -> Iterator[Conflict]:
        """Give the keys in conflict, and those of which a write lost one."""
        return self._stream(calls.CONFLICTS)

    def resolve(
        self, key: str, value: Storable, /, *, seen: Iterable[str] | None = None
    ) -> PutResult:
        """Settle a key's conflict."""
        known = None if seen is None else list(seen)
        return self._ask(calls.RESOLVE, key=key, value=value, seen=known)

    def watch(
        self,
        prefix: str = "",
        *,
        since: str | None = None,
        max_bytes: int | None = None,  # noqa: ARG002  its node has a limit of its own
    ) -> RemoteWatch:
        """Give the changes of keys, in their order."""
        request = encode_request(
            calls.WATCH.name, calls.WATCH.plain_arguments({"prefix": prefix, "since": since})
        )
        watch = RemoteWatch(self._connection(), self.about, silence=self._silence)
        watch.begin(request)
        return watch

    # Synchronization.

    def tick(self, prune: bool = False) -> TickResult:
        """Send what is due now."""
        return self._ask(calls.TICK, prune=prune)

    def sync_state(self) -> SyncState:
        """Count the node's own writes by how far they have come."""
        return self._ask(calls.SYNC_STATE)

    def retry_expired(self) -> int:
        """Send again what is overdue."""
        return self._ask(calls.RETRY_EXPIRED)

    def requeue_failed(self) -> int:
        """Try faulted peers again at once."""
        return self._ask(calls.REQUEUE_FAILED)

    def queue_pending(self) -> int:
        """Let go what is held back."""
        return self._ask(calls.QUEUE_PENDING)

    def wait_synced(
        self,
        timeout: float | None = None,
        peers: str | int | Iterable[str] = "all",
        *,
        up_to: int | None = None,
    ) -> bool:
        """Wait until the node's own writes are durable at its peers."""
        named = peers if isinstance(peers, str | int) else list(peers)
        if up_to is None:
            up_to = self.sync_state().last_submitted_version
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = SLICE_SECONDS if until is None else until - time.monotonic()
            slice_s = max(0.0, min(left, SLICE_SECONDS))
            found = self._ask(calls.WAIT_SYNCED, timeout=slice_s, peers=named, up_to=up_to)
            if found is not None:
                return found
            if left <= SLICE_SECONDS and until is not None:
                return False

    # Peers.

    def connect(self, peer: Peer, timeout: float = 5.0, /) -> Peer:
        """Register a peer and wait until it is connected."""
        self._ask(calls.CONNECT, peer=peer, timeout=timeout)
        return peer

    def disconnect(self, peer: str, /) -> None:
        """End the connection with a peer and stop dialling it."""
        self._ask(calls.DISCONNECT, peer=peer)

    def forget(self, node_id: str, /) -> None:
        """Strike a peer off."""
        self._ask(calls.FORGET, node_id=node_id)

    def peers(self) -> list[PeerStatus]:
        """Give every known peer and how it stands."""
        return self._ask(calls.PEERS)

    def tombstone_holds(self) -> list[TombstoneHold]:
        """Give who holds back the collection of removed keys."""
        return self._ask(calls.TOMBSTONE_HOLDS)

    @property
    def transport_port(self) -> int | None:
        """The port that is bound; None when the transport does not run."""
        return self._ask(calls.TRANSPORT_PORT)

    @property
    def discovery_running(self) -> bool:
        """Whether peers are looked for."""
        return self._ask(calls.DISCOVERY_RUNNING)

    # How it is.

    def vitals(self) -> Vitals:
        """Give how the node is, with each peer."""
        return self._ask(calls.VITALS)

    def explain_key(self, key: str, /) -> KeyExplanation:
        """Say why a key is not in step, or that it is."""
        return self._ask(calls.EXPLAIN_KEY, key=key)

    def explain_peer(self, node_id: str, /) -> PeerExplanation:
        """Say why a peer is not in step, or that it is."""
        return self._ask(calls.EXPLAIN_PEER, node_id=node_id)

    # The node.

    def node_info(self) -> NodeInfo:
        """Describe the node."""
        return self._ask(calls.NODE_INFO)

    def backup(self, path: Path, /) -> None:
        """Write a consistent copy of the log to a new file."""
        self._ask(calls.BACKUP, path=str(Path(path).absolute()))

    def compact(self) -> None:
        """Rewrite the log without what is obsolete."""
        self._ask(calls.COMPACT)
