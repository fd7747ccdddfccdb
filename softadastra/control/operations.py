"""What a command may ask of a node, wherever it runs.

`Client` has these calls, with these meanings, and so has `RemoteNode`, which asks a `Client` of
another process over its control socket. Whoever is given one need not know which.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from softadastra.types import (
    Change,
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

if TYPE_CHECKING:  # it brings the store, which a command that asks a node does without
    from softadastra.batch import Batch
from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.vitals import Vitals

__all__ = ["Operations", "Watching"]


class Watching(Protocol):
    """A watch of a node that is open, here or in another process; `softadastra.watch.Watch`."""

    def get(self, timeout: float | None = None) -> Change | None:
        """Give the next change; None when there is none in time."""

    @property
    def position(self) -> str:
        """Where to go on."""

    def __enter__(self) -> Self:
        """End it with the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""


class Operations(Protocol):
    """A node that is open, here or in another process. Each call is described in `Client`."""

    def put(self, key: str, value: Storable, /) -> PutResult:
        """Store a value."""

    def remove(self, key: str, /, *, seen: Iterable[str] | None = None) -> bool:
        """Remove a key; False when it is absent."""

    def entry(self, key: str, /) -> Entry | None:
        """Give a key's value with where it came from."""

    def items(self, prefix: str = "", /) -> Iterable[tuple[str, Value]]:
        """Give the keys with a prefix and their values, in order."""

    def batch(self) -> Batch:
        """Gather writes that become one atomic, durable record."""

    def size(self) -> int:
        """Count the keys that have a value."""

    def digest(self) -> str:
        """Give the hash of the state."""

    def conflicts(self) -> Iterable[Conflict]:
        """Give the keys in conflict, and those of which a write lost one."""

    def resolve(
        self, key: str, value: Storable, /, *, seen: Iterable[str] | None = None
    ) -> PutResult:
        """Settle a key's conflict."""

    def watch(
        self, prefix: str = "", *, since: str | None = None, max_bytes: int = ...
    ) -> Watching:
        """Give the changes of keys, in their order."""

    def tick(self, prune: bool = False) -> TickResult:
        """Send what is due now."""

    def sync_state(self) -> SyncState:
        """Count the node's own writes by how far they have come."""

    def retry_expired(self) -> int:
        """Send again what is overdue."""

    def requeue_failed(self) -> int:
        """Try faulted peers again at once."""

    def queue_pending(self) -> int:
        """Let go what is held back."""

    def wait_synced(
        self,
        timeout: float | None = None,
        peers: str | int | Iterable[str] = "all",
        *,
        up_to: int | None = None,
    ) -> bool:
        """Wait until the node's own writes are durable at its peers."""

    def connect(self, peer: Peer, timeout: float = ..., /) -> Peer:
        """Register a peer and wait until it is connected."""

    def disconnect(self, peer: str, /) -> None:
        """End the connection with a peer and stop dialling it."""

    def forget(self, node_id: str, /) -> None:
        """Strike a peer off."""

    def peers(self) -> list[PeerStatus]:
        """Give every known peer and how it stands."""

    def tombstone_holds(self) -> list[TombstoneHold]:
        """Give who holds back the collection of removed keys."""

    def vitals(self) -> Vitals:
        """Give how the node is, with each peer."""

    def explain_key(self, key: str, /) -> KeyExplanation:
        """Say why a key is not in step, or that it is."""

    def explain_peer(self, node_id: str, /) -> PeerExplanation:
        """Say why a peer is not in step, or that it is."""

    def node_info(self) -> NodeInfo:
        """Describe the node."""

    @property
    def transport_port(self) -> int | None:
        """The port that is bound; None when the transport does not run."""

    @property
    def discovery_running(self) -> bool:
        """Whether peers are looked for."""

    def backup(self, path: Path, /) -> None:
        """Write a consistent copy of the log to a new file."""

    def compact(self) -> None:
        """Rewrite the log without what is obsolete."""
