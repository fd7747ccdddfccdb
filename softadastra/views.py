"""Views of a client's keys and items by prefix, as a mapping's views: live, and in key order."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, MappingView
from typing import TypeAlias, cast

from softadastra.types import Value

__all__ = ["PrefixItems", "PrefixKeys"]

Scan: TypeAlias = Callable[[str], Iterator[str]]


class Prefixed(MappingView):
    """What is under the keys that start with a prefix."""

    __slots__ = ("_client", "_prefix", "_scan")

    def __init__(self, client: Mapping[str, Value], scan: Scan, prefix: str) -> None:
        super().__init__(client)
        self._client = client
        self._scan = scan
        self._prefix = prefix

    def __len__(self) -> int:
        return sum(1 for _ in self._scan(self._prefix)) if self._prefix else len(self._client)


class PrefixKeys(Prefixed, KeysView[str]):
    """The keys that start with a prefix."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        return self._scan(self._prefix)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.startswith(self._prefix) and key in self._client

    def __repr__(self) -> str:
        return f"keys({self._prefix!r})"


class PrefixItems(Prefixed, ItemsView[str, Value]):
    """The keys that start with a prefix, with their values."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        absent = object()
        for key in self._scan(self._prefix):
            value = self._client.get(key, absent)
            # Absent: removed by another thread since the scan saw it.
            if value is not absent:
                yield key, cast(Value, value)

    def __contains__(self, item: object) -> bool:
        return (
            isinstance(item, tuple)
            and len(item) == 2
            and isinstance(item[0], str)
            and item[0].startswith(self._prefix)
            and self._client.get(item[0], self) == item[1]
        )

    def __repr__(self) -> str:
        return f"items({self._prefix!r})"
