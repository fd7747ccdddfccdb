"""The values that the public calls return, and the address of a peer.

All are immutable snapshots: they do not change when the node does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from softadastra.errors import InvalidArgumentError

__all__ = [
    "BEGINNING",
    "Change",
    "Conflict",
    "ConflictingValue",
    "Entry",
    "Event",
    "Located",
    "MergeFunction",
    "NodeInfo",
    "Peer",
    "PeerSource",
    "PeerState",
    "PeerStatus",
    "PeerSync",
    "PutResult",
    "PutStatus",
    "Storable",
    "SyncState",
    "TickResult",
    "TombstoneHold",
    "Value",
]

Value: TypeAlias = (
    "str | bytes | int | float | bool | datetime | list[Value] | dict[str, Value] | None"
)
"""What comes out of the store: MessagePack's types."""

Storable: TypeAlias = (
    "str | bytes | bytearray | memoryview | int | float | bool | datetime"
    " | Sequence[Storable] | Mapping[str, Storable] | None"
)
"""What goes in: a tuple comes out as a list, and any bytes as bytes."""

PutStatus: TypeAlias = Literal["created", "updated", "unchanged"]


class PeerState(StrEnum):
    """How a peer stands with this node."""

    AVAILABLE = "available"
    """Known, and not being tried at this moment."""
    CONNECTING = "connecting"
    """Being dialled, or greeted."""
    CONNECTED = "connected"
    """Greeted, and answering."""
    STALE = "stale"
    """Was connected; silent, or not acknowledging, for longer than `ack_timeout`."""
    FAULTED = "faulted"
    """Did not acknowledge after `max_sync_retries` resends: its share counts as failed. Or it is
    shut out for bad messages, as `last_error` says: then its share waits in the queue."""
    SUSPENDED = "suspended"
    """Away for so long that it no longer holds back collection."""


class PeerSource(StrEnum):
    """How this node came to know a peer."""

    MANUAL = "manual"
    MDNS = "mdns"
    INBOUND = "inbound"


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a node can be reached.

    Args:
        node_id: the peer's own name, non-empty.
        host: a host name or address, as "127.0.0.1" or "[::1]".
        port: 1 to 65535.

    Raises:
        InvalidArgumentError: a part is missing or out of range.
    """

    node_id: str
    host: str
    port: int

    def __post_init__(self) -> None:
        if not isinstance(self.node_id, str) or not self.node_id:
            raise InvalidArgumentError(
                f"a peer needs a non-empty node id, got {self.node_id!r}", node_id=self.node_id
            )
        if not isinstance(self.host, str) or not self.host:
            raise InvalidArgumentError(
                f"peer {self.node_id!r} needs a host name or address, got {self.host!r}",
                host=self.host,
            )
        if type(self.port) is not int or not 1 <= self.port <= 65535:
            raise InvalidArgumentError(
                f"peer {self.node_id!r} needs a port from 1 to 65535, got {self.port!r}",
                port=self.port,
            )
        try:
            str(self).encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(
                f"peer {str(self)!r} has a lone surrogate: a node id and a host are valid Unicode",
                node_id=self.node_id,
            ) from error

    @classmethod
    def local(cls, node_id: str, port: int) -> Peer:
        """Name a peer on this machine's loopback interface."""
        return cls(node_id, "127.0.0.1", port)

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read "id@host:port"; `str(peer)` gives the same text back.

        Raises:
            InvalidArgumentError: the text has another form.
        """
        if not isinstance(text, str):
            raise InvalidArgumentError(f"a peer is a Peer or ID@HOST:PORT, got {text!r:.80}")
        node_id, at, address = text.rpartition("@")  # a node id may have one, a host has none
        host, colon, port = address.rpartition(":")
        if not (at and colon and port.isascii() and port.isdigit() and len(port) <= 5):
            raise InvalidArgumentError(
                f"cannot read peer {text!r}: expected ID@HOST:PORT, as node-b@127.0.0.1:4042",
                peer=text,
            )
        return cls(node_id, host, int(port))

    @property
    def is_localhost(self) -> bool:
        """Whether the host is this machine's loopback interface."""
        return self.host in ("localhost", "::1", "[::1]") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"{self.node_id}@{self.host}:{self.port}"


class PutResult(NamedTuple):
    """What a `put` did. A named tuple, not a dataclass: it is made at each put (2x faster)."""

    key: str
    version: int
    """Counts the versions of this key, from 1."""
    status: PutStatus
    """"unchanged": the key had this very value, so nothing was written."""
    origin: str
    """The node that made the write that the key now holds."""
    n: int
    """The write's number at its origin, from 1."""

    @property
    def sync_id(self) -> str:
        """The write's name for people and logs, as "node-a-1"."""
        return f"{self.origin}-{self.n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The current value of a key and where it came from."""

    key: str
    value: Value
    version: int
    timestamp_ms: int
    """The writer's hybrid clock, in milliseconds since 1970."""
    origin: str
    sync_id: str


BEGINNING: Final = "beginning"
"""The position before everything: a watch from there first gives what there is."""


class Located(Protocol):
    """Something with a place among the changes of a node."""

    @property
    def position(self) -> str:
        """The place, as text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of what `get` gives for a key, by a write of this node or of another one."""

    key: str
    value: Value
    """None when the key was removed; see `is_removed`, as None can be stored too."""
    is_removed: bool
    version: int
    timestamp_ms: int
    """The writer's hybrid clock, in milliseconds since 1970."""
    origin: str
    """The node that wrote it. Empty, with a version of 0, for a key that a peer showed to have been
    removed, where nobody knows any more by which write."""
    sync_id: str
    located: Located = field(repr=False, compare=False)
    """Where `position` comes from; made into text only when that is asked for."""

    @property
    def position(self) -> str:
        """Where to go on behind this change: `watch(since=...)`, also after a restart.

        That of what was there at the beginning of a watch from "beginning" is "beginning": who goes
        on there begins anew, with an empty copy. Its `Watch.position` goes on behind all of that.
        """
        return self.located.position


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictingValue:
    """One of the writes of a key that did not know of each other."""

    value: Value
    """None when the write is a remove."""
    is_removed: bool
    origin: str
    sync_id: str
    version: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A key that was written by nodes that did not know of each other's write."""

    key: str
    policy: str
    """By which policy the key's conflicts are settled."""
    is_open: bool
    """Whether all values are still kept; if not, the first one has won and the others lost."""
    values: tuple[ConflictingValue, ...]
    """What stands first, then the others, greatest first. When it is not open, what stood when the
    last one lost: `get` may give a later write."""


MergeFunction: TypeAlias = Callable[[str, Sequence[ConflictingValue]], object]
"""Makes one value, that can be stored, of a key's conflicting ones, which come greatest first.
Commutative, associative and idempotent, or nodes go on disagreeing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSync:
    """What one member still lacks of this node's own writes."""

    lag: int
    """Own writes that it has not confirmed."""
    in_flight: int
    acknowledged: int
    """Own writes that it has confirmed without a gap, since the first."""
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """The outbox: this node's own writes, by how far they have come.

    Always: outbox_size = held_count + queued_count + in_flight_count + acknowledged_count +
    failed_count.
    """

    outbox_size: int
    """Own writes that are tracked: all that were not pruned."""
    queued_count: int
    """Waiting to be sent to a member, or for a first member."""
    in_flight_count: int
    """Sent, and not yet acknowledged."""
    acknowledged_count: int
    """Durable at every member; `prune_completed()` removes them from the outbox."""
    failed_count: int
    """Lacked only by faulted peers; sent again by itself when they answer."""
    held_count: int
    """Held back by `auto_queue=False` until `queue_pending()`."""
    total_retries: int
    """Batches sent again, since the node was made."""
    last_submitted_version: int
    """The number of this node's last write."""
    last_applied_remote_version: int
    """The number, at its origin, of the last write that was taken from a peer."""
    per_peer: Mapping[str, PeerSync] = field(default_factory=dict)

    @property
    def has_work(self) -> bool:
        """Whether any own write is not yet acknowledged by every member."""
        return self.outbox_size > self.acknowledged_count


@dataclass(frozen=True, slots=True, kw_only=True)
class TickResult:
    """What one `tick` did."""

    retried_count: int
    """Writes sent again because their acknowledgement was overdue."""
    pruned_count: int
    """Acknowledged writes removed from the outbox; no value is ever removed."""
    batch_size: int
    """Distinct writes that were put into batches."""
    sent_count: int
    """Batches handed to the transport."""
    connected_peers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """How one peer stands with this node."""

    node_id: str
    host: str
    """Empty when the peer dialled us and its address is not known."""
    port: int
    state: PeerState
    source: PeerSource
    lag: int
    """Own writes that the peer has not confirmed."""
    in_flight: int
    retries: int
    last_seen_ms: int | None
    """When it was last heard, in milliseconds since 1970; None: never."""
    last_error: str
    clock_skew_ms: int | None
    """Its clock minus ours, from the last greeting; None: not measured."""

    @property
    def peer(self) -> Peer | None:
        """The address to dial, when one is known."""
        return Peer(self.node_id, self.host, self.port) if self.host and self.port else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TombstoneHold:
    """What a peer holds back: removed keys of which it is not known to know."""

    peer: str
    count: int
    """Tombstones that stay until the peer has them, or is suspended or forgotten."""
    since_ms: int
    """When the first of these keys was removed, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a node, as `docs/events.md` lists them."""

    name: str
    level: str
    """"debug", "info", "warning" or "error"."""
    node_id: str
    timestamp_ms: int
    """The node's wall clock, in milliseconds since 1970."""
    fields: Mapping[str, object]
    """What the event has to tell, of the types of JSON."""
    dropped: int = 0
    """Events of the same subscription that were dropped before this one, as too many waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """Who this node is and what it runs on."""

    node_id: str
    display_name: str
    hostname: str
    os_name: str
    version: str
    started_at_ms: int
    uptime_ms: int
    capabilities: frozenset[str]

    @property
    def label(self) -> str:
        """The display name, or the node id when there is none."""
        return self.display_name or self.node_id

    def has_capability(self, name: str) -> bool:
        """Whether the node offers this service, as "sync" or "transport"."""
        return name in self.capabilities
