"""The client: one node of the network, inside this process.

The public face of `node.py`, which puts the parts together. Every call is safe from any thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, MutableMapping, ValuesView
from typing import TypeVar, overload

from softadastra.arguments import file_path, peer_to_dial, seconds
from softadastra.batch import Batch
from softadastra.errors import NotFoundError
from softadastra.examining import Examining
from softadastra.modifying import Modifying
from softadastra.observing import Observing
from softadastra.outbox import prune, release, requeue_failed
from softadastra.scans import keys_of
from softadastra.store.clock import milliseconds
from softadastra.store.siblings import TOMBSTONE
from softadastra.store.values import unpack_value
from softadastra.sync.output import Push
from softadastra.sync.records import Forgotten
from softadastra.sync.status import holders, peer_statuses, sync_state, tombstone_holds
from softadastra.types import (
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
from softadastra.views import AllValues, PrefixItems, PrefixKeys

__all__ = ["Client"]

T = TypeVar("T")

RECORD_WRITES = 1_024
"""How many writes become one record, where a call makes many."""

CONNECT_SECONDS = 5.0
"""Longer than a TCP handshake with two lost packets takes."""


class Client(Examining, Observing, Modifying, MutableMapping[str, Value]):
    """A node: a durable store that keeps in step with its peers.

    Use it as a context manager, or call `open` and `close`. It is a mapping of str keys to
    values, and true also when it is empty. All calls are safe from any thread. A network
    fault never raises from a read or a write.

    Args:
        options: the node's settings; checked as a whole by `open`.

    Example:
        >>> with Client(ClientOptions.memory_only("node-a")) as node:
        ...     node["greeting"] = "hello"
        ...     node.get("greeting")
        'hello'
    """

    # Values.

    def put(self, key: str, value: Storable) -> PutResult:
        """Store a value, and track it until every peer has it.

        With `auto_flush` it is durable when this returns. A put of the value that the key
        holds already writes nothing and is "unchanged".

        Args:
            key: non-empty, at most `max_key_bytes` of UTF-8.
            value: what MessagePack carries, at most `max_value_bytes` packed.

        Raises:
            InvalidArgumentError: the key or the value cannot be stored; nothing has changed.
            InvalidStateError: the client is not open.
            StorageError: the disk refused; nothing has changed. After a failed sync the
                outcome is unknown, and nothing is written until the client is opened again.
        """
        return (self._node or self._opened()).put(key, value)

    @overload
    def get(self, key: str) -> Value: ...
    @overload
    def get(self, key: str, default: T) -> Value | T: ...
    def get(self, key: str, default: object = None) -> object:
        """Give the value of a key, `default` when it is absent.

        Raises:
            InvalidArgumentError: no such key can exist.
            InvalidStateError: the client is not open.
        """
        node = self._opened()
        packed = node.replica.value(node.key(key))
        return default if packed is None else unpack_value(packed)

    def entry(self, key: str) -> Entry | None:
        """Give a key's value with its version and where it came from; None when it is absent."""
        node = self._opened()
        sibling = node.replica.sibling(node.key(key))
        if sibling is None:
            return None
        number, n, stamp, version, packed, _ = sibling
        origin = node.replica.origins[number].node_id
        return Entry(
            key=key,
            value=unpack_value(packed),
            version=version,
            timestamp_ms=milliseconds(stamp),
            origin=origin,
            sync_id=f"{origin}-{n}",
        )

    def contains(self, key: object) -> bool:
        """Whether a key has a value. What cannot be a key has none."""
        node = self._opened()
        return isinstance(key, str) and node.replica.sibling(key) is not None

    def size(self) -> int:
        """Count the keys that have a value."""
        return len(self._opened().replica)

    @property
    def is_empty(self) -> bool:
        """Whether no key has a value."""
        return self.size() == 0

    def keys(self, prefix: str = "") -> PrefixKeys:
        """View the keys with a prefix, in order. Costs what it yields, not what is stored.

        Raises:
            InvalidArgumentError: the prefix is no str.
            InvalidStateError: the client is not open.
        """
        self._opened()
        return PrefixKeys(self, self._opened, prefix)

    def items(self, prefix: str = "") -> PrefixItems:
        """View the keys with a prefix and their values, in the order of the keys.

        Raises:
            InvalidArgumentError, InvalidStateError: as `keys`.
        """
        self._opened()
        return PrefixItems(self, self._opened, prefix)

    def values(self) -> ValuesView[Value]:
        """View the values of all keys, in the order of the keys."""
        self._opened()
        return AllValues(self, self._opened)

    def batch(self) -> Batch:
        """Gather writes that become one atomic, durable record.

        Example:
            >>> with Client(ClientOptions.memory_only("node-a")) as node:
            ...     with node.batch() as batch:
            ...         batch.put("a", 1)
            ...         batch.put("b", 2)
            ...     node.size()
            2
        """
        node = self._opened()
        return Batch(node.assignment, node.key, lambda asked: self._opened().write(asked))

    def digest(self) -> str:
        """Give a hash of the state, as 32 hexadecimal digits.

        Equal on two nodes exactly when their live keys, values and versions are. O(1).
        """
        node = self._opened()
        with node.lock:
            return node.replica.digest.hex()

    # The mapping protocol.

    def __getitem__(self, key: str) -> Value:
        node = self._opened()
        packed = node.replica.value(node.key(key))
        if packed is None:
            raise NotFoundError(f"key not found: {key!r}", key=key)
        return unpack_value(packed)

    def __setitem__(self, key: str, value: Storable) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        if not self.remove(key):
            raise NotFoundError(f"key not found: {key!r}", key=key)

    def clear(self) -> None:
        """Remove all keys that there are now: of at most 1,024 removes each becomes one record."""
        keys = list(self)
        for first in range(0, len(keys), RECORD_WRITES):
            asked = [(key, TOMBSTONE, 0) for key in keys[first : first + RECORD_WRITES]]
            self._opened().write(asked)

    def __contains__(self, key: object) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[str]:
        return keys_of(self._opened, "")

    def __len__(self) -> int:
        return self.size()

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    # Synchronization.

    def tick(self, prune: bool = False) -> TickResult:
        """Send what is due now: new writes, relays, and batches whose answer is overdue.

        With `auto_tick` the node does so by itself. What it sends is acknowledged later.

        Args:
            prune: also remove acknowledged writes from the outbox; values always stay.
        """
        node = self._opened()
        pushed = node.push(Push.ALL)
        return TickResult(
            retried_count=pushed.retried,
            pruned_count=self.prune_completed() if prune else 0,
            batch_size=pushed.writes,
            sent_count=pushed.batches,
            connected_peers=len(node.engine.connections.active),
        )

    def sync_state(self) -> SyncState:
        """Count this node's own writes by how far they have come."""
        node = self._opened()
        with node.lock:
            return sync_state(node.engine)

    def retry_expired(self) -> int:
        """Send batches again whose acknowledgement is overdue; give how many writes they hold."""
        return self._opened().push(Push.OVERDUE).retried

    def prune_completed(self) -> int:
        """Stop tracking writes that every member has; give how many. No value is removed."""
        return prune(self._opened())

    def requeue_failed(self) -> int:
        """Try faulted peers again at once; give how many writes only they lack."""
        return requeue_failed(self._opened())

    def queue_pending(self) -> int:
        """Let go what `auto_queue=False` holds back; give how many writes."""
        return release(self._opened())

    def wait_synced(
        self,
        timeout: float | None = None,
        peers: str | int | Iterable[str] = "all",
        *,
        up_to: int | None = None,
    ) -> bool:
        """Wait until this node's writes of up to now are durable at its peers.

        Args:
            timeout: seconds; None waits as long as it takes.
            peers: "all" that this node has met or dials, also those not met yet; "any" one; how
                many; or their ids. Of a node that only others meet it is known within about half a
                minute for each node in between, so it counts only where its id is given.
            up_to: only up to this number, as a `PutResult` has it in `n`.

        Returns:
            Whether they are. Without any peer they are nowhere else: False, unless this node
            has written nothing.

        Raises:
            InvalidArgumentError: an argument is none of these.
        """
        limit = None if timeout is None else seconds(timeout)
        node = self._opened()
        return node.wait(node.synced(peers, up_to), limit)

    # Peers.

    @property
    def transport_running(self) -> bool:
        """Whether `start_transport` was called and the transport works."""
        return self.transport_port is not None

    @property
    def transport_port(self) -> int | None:
        """The port that is bound, None when the transport does not run."""
        node = self._node
        return None if node is None else node.transport_port

    def start_transport(self) -> None:
        """Bind the port, and dial every known peer. Running already: nothing.

        With `security` the node's key pair is made when there is none, and strangers are shown to
        be refused before anybody is spoken to.

        Raises:
            TransportError: the transport is disabled by the options, or the address cannot be
                bound; the message says why. With `security`, this libzmq has none, or nothing
                shows that strangers are refused.
            StoreError: others can read the key pair or change the list of trusted keys, or one of
                the two cannot be read.
            StorageError: the system refused one of these files.
        """
        with self._lifecycle:
            self._opened().start_transport()

    def stop_transport(self) -> None:
        """Take leave of the peers and unbind; ends discovery. Not running: nothing."""
        with self._lifecycle:
            self._opened().stop_transport()

    @property
    def discovery_running(self) -> bool:
        """Whether `start_discovery` was called and peers are looked for."""
        node = self._node
        return node is not None and node.discovery.is_running

    def start_discovery(self) -> None:
        """Announce this node on the network that it listens on, and dial who is found there.

        Peers of the same cluster find each other without an address. It goes as far as the
        listener: on loopback, nodes of this machine. Running already: nothing. When it ends by
        itself, which only a bug does, that is told as `discovery.failed`, and it begins anew.

        Raises:
            DiscoveryError: it is disabled by the options, or cannot start; the message says why.
            InvalidStateError: the transport does not run.
        """
        with self._lifecycle:
            self._opened().start_discovery()

    def stop_discovery(self) -> None:
        """Take the announcement back and look for nobody more. Connections stay."""
        with self._lifecycle:
            self._opened().discovery.stop()

    def connect(self, peer: Peer | str, timeout: float = CONNECT_SECONDS) -> Peer:
        """Register a peer and wait until it is connected.

        The peer is remembered over restarts and dialled again whenever the connection is lost.

        Args:
            peer: where it is, or "id@host:port".
            timeout: seconds to wait.

        Raises:
            TransportError: it cannot be reached now ("connection refused", for one). It stays
                registered and is tried again in the background; writes wait for it.
            InvalidArgumentError: that is no peer, or no node can have this name.
            InvalidStateError: the transport does not run.
        """
        node = self._opened()
        dialled = peer_to_dial(peer)
        node.connect(dialled, seconds(timeout))
        return dialled

    def disconnect(self, peer: Peer | str) -> None:
        """End the connection with a peer and stop dialling it. It stays a member.

        Raises:
            NotFoundError: no such peer is known.
            InvalidArgumentError: no peer can be named by this.
        """
        node = self._opened()
        node.disconnect(node.known_peer(peer))

    def forget(self, node_id: str) -> None:
        """Strike a peer off: its confirmation is waited for no more.

        Raises:
            NotFoundError: no such peer is known.
            InvalidArgumentError: no peer can be named by this.
        """
        node = self._opened()
        known = node.known_peer(node_id)
        node.disconnect(known)
        node.commit([Forgotten(known)])

    def peers(self) -> list[PeerStatus]:
        """Give every known peer and how it stands, by name."""
        node = self._opened()
        with node.lock:
            return peer_statuses(node.engine, node.now())

    def tombstone_holds(self) -> list[TombstoneHold]:
        """Give which peers hold back the collection of how many removed keys, since when.

        A tombstone goes when every peer has it; one that is away for longer than `max_offline`, or
        forgotten, holds back nothing. Costs the number of tombstones times that of peers.
        """
        node = self._opened()
        with node.lock:
            known = holders(node.engine, node.now())
        return tombstone_holds(node.replica, known)

    # The node.

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of this node to a new file, while writes go on.

        It has all that was written before this call. A client that opens it (under its path, by
        options of the same node id) takes a new incarnation, so that it may stand beside the
        original, or replace it; what the original had written since comes back from its peers.

        Raises:
            InvalidArgumentError: no file can have this path; or the log itself is rewritten there.
            AlreadyExistsError: there is a file at this path.
            StorageError: the disk refused; a file that is there all the same is whole.
            InvalidStateError: the client is not open, or keeps no log.
        """
        self._opened().backup(file_path(path))

    def compact(self) -> None:
        """Rewrite the log without what is obsolete, while writes go on; returns when it is done.

        It starts by itself when more than half of the log is obsolete. Nothing that can be read or
        is owed to a peer is lost, and a crash at any moment leaves the old file or the new one.
        Takes about as long as opening the log. A memory-only client has nothing to do.

        Raises:
            StorageError: the disk refused; the log is as it was, or nothing more is written.
            InvalidStateError: the client is not open, or is being closed.
        """
        self._opened().compact()

    def node_info(self) -> NodeInfo:
        """Describe this node. The machine's name and system are those of when it was opened."""
        return self._opened().node_info()

    def refresh_node_info(self) -> NodeInfo:
        """Describe this node, reading the machine's name and system anew."""
        return self._opened().node_info(refresh=True)
