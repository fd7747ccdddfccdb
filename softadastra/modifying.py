"""What stands of a key's values, and writes made of it in one step, or of what was seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from softadastra.errors import InvalidStateError, NotFoundError
from softadastra.lifecycle import Lifecycle
from softadastra.node import Node
from softadastra.store.siblings import RESOLUTION, TOMBSTONE, siblings_of
from softadastra.store.values import unpack_value
from softadastra.store.writes import Assigned, Assignment
from softadastra.sync.status import conflicts, standing_ids
from softadastra.types import Conflict, PutResult, Storable

__all__ = ["Modifying"]


class Modifying(Lifecycle):
    """What a `Client` does with the values that a key has."""

    def modify(
        self, key: str, function: Callable[[Any], Storable], default: object = None
    ) -> PutResult:
        """Store what a function makes of the value of a key, as one step.

        Nothing comes in between. A `put` of what was made of an earlier `get` replaces also what
        another thread, or a peer, has written since, though the program never saw it; here the
        function is then called again. Nodes that are apart do not see each other: their writes
        are a conflict, as always.

        Args:
            key: as `put` takes it.
            function: takes the value, which it may change, and gives the new one. It may be called
                several times, and has to do nothing else. What it raises is raised, and nothing has
                changed.
            default: what the function takes when the key is absent.

        Raises:
            InvalidArgumentError, InvalidStateError, StorageError: as `put`.

        Example:
            >>> with Client(ClientOptions.memory_only("node-a")) as node:
            ...     node.modify("count", lambda count: count + 1, 0).status
            ...     node["count"]
            'created'
            1
        """
        node = self._opened()
        checked, replica = node.key(key), node.replica
        while True:
            with node.lock:
                seen, packed = siblings_of(replica.entries.get(checked)), replica.value(checked)
            value = function(default if packed is None else unpack_value(packed))

            def is_unchanged() -> bool:
                return siblings_of(replica.entries.get(checked)) == seen  # noqa: B023  asked at once

            for result in node.write([node.assignment(checked, value)], is_unchanged):
                assert result is not None, "a put always has a result"
                return PutResult._make(result)

    def remove(self, key: str, *, seen: Iterable[str] | None = None) -> bool:
        """Remove a key here and at every peer; False when it is absent, then nothing is written.

        Args:
            key: any key.
            seen: as `resolve` takes it: the `sync_id` of each value that may go. A key that
                `conflicts()` lists is settled so. None: whatever stands is removed.

        Raises:
            InvalidStateError: it was written meanwhile; nothing has changed. Or as `put`.
            InvalidArgumentError, StorageError: as `put`.
        """
        node = self._opened()
        key = node.key(key)
        if seen is None:
            (result,) = node.write([(key, TOMBSTONE, 0)])
            return result is not None
        flags = RESOLUTION if has_conflict(node, key) else 0
        return write_seen(node, (key, TOMBSTONE, flags), seen) is not None

    def conflicts(self) -> list[Conflict]:
        """Give the keys that were written by nodes that did not know of each other's write.

        First those that wait to be resolved, then those in which a write lost, under
        last_write_wins or as one of two resolutions by hand: of these the latest 1,000, until they
        are resolved at this node.
        """
        node = self._opened()
        with node.lock:
            return conflicts(node.replica)

    def resolve(self, key: str, value: Storable, *, seen: Iterable[str] | None = None) -> PutResult:
        """Settle a key's conflict with a value, which supersedes all that this node has seen.

        Args:
            key: a key that `conflicts()` lists.
            value: what it is to have.
            seen: the `sync_id` of each value that the choice was made of. When another one stands
                by now, as a peer may just have brought it, nothing is written. None: whatever
                stands is superseded.

        Raises:
            NotFoundError: the key has no conflict.
            InvalidStateError: it was written meanwhile; nothing has changed. Or as `put`.
            InvalidArgumentError, StorageError: as `put`.
        """
        node = self._opened()
        key, packed, _ = node.assignment(key, value)
        if not has_conflict(node, key):
            raise NotFoundError(f"key {key!r} has no conflict", key=key)
        result = write_seen(node, (key, packed, RESOLUTION), seen)
        assert result is not None, "a resolution is always written"
        return PutResult._make(result)


def has_conflict(node: Node, key: str) -> bool:
    """Whether `conflicts()` lists a key."""
    replica = node.replica
    with node.lock:
        return key in replica.conflicted or any(lost.key == key for lost in replica.lost)


def write_seen(node: Node, asked: Assignment, seen: Iterable[str] | None) -> Assigned | None:
    """Commit a write, unless its key has more values than were seen; None: all of them were."""
    key, known = asked[0], frozenset(seen or ())

    def is_seen() -> bool:
        return known.issuperset(standing_ids(node.replica, key))

    for result in node.write([asked], None if seen is None else is_seen):
        return result
    raise InvalidStateError(
        f"key {key!r} was written meanwhile, so it was left as it is: look at its values again",
        key=key,
    )
