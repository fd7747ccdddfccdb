"""Values that are made of those before, as one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from softadastra.lifecycle import Lifecycle
from softadastra.store.siblings import siblings_of
from softadastra.store.values import unpack_value
from softadastra.types import PutResult, Storable

__all__ = ["Modifying"]


class Modifying(Lifecycle):
    """What a `Client` does with a value and those before it."""

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
        known = None if seen is None else frozenset(seen)
        return PutResult._make(self._opened().resolve(key, value, known))
