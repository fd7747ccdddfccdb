"""The index: per origin, the key of each write that this node has, superseded ones included.

With it a catch-up costs what the peer lacks, not what the store holds; it is the outbox and
the relay queue of all peers at once. Superseded writes stay in it: if a batch could claim a
write while the one that replaced it comes later, a link that dies in between would leave a
node that claims a value it does not hold, and a third node would drop the only copy.
"""

from __future__ import annotations

from collections.abc import Iterator

from softadastra.store.dots import Range

__all__ = ["OriginLog"]


class OriginLog:
    """The writes of one origin that this node has. 8 bytes a write.

    Invariant H: n is in here exactly when this node holds the value of the write n, or of one
    that superseded it.
    """

    __slots__ = ("beyond", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        """The key of write n at position n - 1, without a gap."""
        self.beyond: dict[int, str] = {}
        """The keys of writes above the first gap; nearly always empty."""

    @property
    def base(self) -> int:
        """All writes up to this number are here."""
        return len(self.keys)

    @property
    def top(self) -> int:
        """The highest number that is here."""
        return max(self.beyond) if self.beyond else len(self.keys)

    def __contains__(self, n: int) -> bool:
        return n <= len(self.keys) or n in self.beyond

    def key(self, n: int) -> str:
        """Give the key of write n, which must be here."""
        return self.keys[n - 1] if n <= len(self.keys) else self.beyond[n]

    def add(self, n: int, key: str) -> None:
        """Add write n; adding one that is here changes nothing."""
        keys = self.keys
        if n == len(keys) + 1:
            keys.append(key)
            beyond = self.beyond
            while beyond and (following := beyond.pop(len(keys) + 1, None)) is not None:
                keys.append(following)
        elif n > len(keys):
            self.beyond[n] = key

    def ranges(self) -> Iterator[Range]:
        """Give the numbers that are here as sorted ranges."""
        if self.keys:
            yield 1, len(self.keys)
        yield from self.ranges_beyond()

    def ranges_beyond(self) -> Iterator[Range]:
        """Give the numbers above the base as sorted ranges."""
        if not self.beyond:
            return
        numbers = iter(sorted(self.beyond))
        first = last = next(numbers)
        for n in numbers:
            if n != last + 1:
                yield first, last
                first = n
            last = n
        yield first, last
