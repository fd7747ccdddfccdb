"""What a program may ask of a simulated node: the calls of a client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from softadastra.errors import NotFoundError
from softadastra.options import ClientOptions
from softadastra.packing import check_key, pack_value
from softadastra.store.siblings import RESOLUTION, TOMBSTONE
from softadastra.store.values import unpack_value
from softadastra.store.writes import Assigned, Assignment
from softadastra.sync.status import conflicts
from softadastra.testing.sim_life import SimLife
from softadastra.types import Conflict, PeerStatus, SyncState, TickResult, Value

__all__ = ["SimClient"]


class SimClient(ABC):
    """The calls of a client, as those of `Client` but for their results.

    Args:
        options: the node's settings.
        machine: what it runs on: nodes of one name run on several.
    """

    def __init__(self, options: ClientOptions, machine: str) -> None:
        self.node_id = options.node_id
        self.machine = machine
        self.options = options

    @abstractmethod
    def running(self) -> SimLife:
        """Give the process that takes calls.

        Raises:
            InvalidStateError: there is none.
        """

    @abstractmethod
    def _write(self, asked: list[Assignment]) -> Sequence[Assigned | None]:
        """Commit local writes."""

    def put(self, key: str, value: Value) -> Assigned:
        """Store one value; gives key, version, status, origin and number."""
        result = self._write([self._assignment(key, value)])[0]
        assert result is not None, "a put always has a result"
        return result

    def put_many(self, items: Iterable[tuple[str, Value]]) -> Sequence[Assigned | None]:
        """Store values as one atomic record."""
        return self._write([self._assignment(key, value) for key, value in items])

    def remove(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        return self._write([(key, TOMBSTONE, 0)])[0] is not None

    def resolve(self, key: str, value: Value) -> Assigned:
        """Settle a key's conflict with a value, which supersedes all that this node has seen."""
        replica = self.running().engine.replica
        if key not in replica.conflicted and all(lost.key != key for lost in replica.lost):
            raise NotFoundError(f"key {key!r} has no conflict on {self.machine}", key=key)
        assigned = self._write([(*self._assignment(key, value)[:2], RESOLUTION)])[0]
        assert assigned is not None, "a resolution is always written"
        return assigned

    def conflicts(self) -> list[Conflict]:
        """Give the keys of which several values count, and what lost under last_write_wins."""
        return conflicts(self.running().engine.replica)

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

    def _assignment(self, key: str, value: Value) -> Assignment:
        options = self.options
        packed = pack_value(value, max_bytes=options.max_value_bytes)
        return check_key(key, max_bytes=options.max_key_bytes), packed, 0
