"""Views of what a client holds, as a mapping's views: live, and in key order."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, MappingView, ValuesView

from softadastra.arguments import key_prefix
from softadastra.scans import Opened, items_of, keys_of
from softadastra.types import Value

__all__ = ["AllValues", "PrefixItems", "PrefixKeys"]


class Prefixed(MappingView):
    """What is under the keys that start with a prefix.

    Raises:
        InvalidArgumentError: the prefix is no str.
    """

    __slots__ = ("_client", "_opened", "_prefix")

    def __init__(self, client: Mapping[str, Value], opened: Opened, prefix: str = "") -> None:
        super().__init__(client)
        self._client = client
        self._opened = opened
        self._prefix = key_prefix(prefix)

    def __len__(self) -> int:
        if not self._prefix:
            return len(self._client)
        return sum(1 for _ in keys_of(self._opened, self._prefix))


class PrefixKeys(Prefixed, KeysView[str]):
    """The keys that start with a prefix."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        return keys_of(self._opened, self._prefix)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.startswith(self._prefix) and key in self._client

    def __repr__(self) -> str:
        return f"keys({self._prefix!r})"


class PrefixItems(Prefixed, ItemsView[str, Value]):
    """The keys that start with a prefix, with their values."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return items_of(self._opened, self._prefix)

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


class AllValues(Prefixed, ValuesView[Value]):
    """The values of all keys."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Value]:
        return (value for _, value in items_of(self._opened, self._prefix))

    def __contains__(self, value: object) -> bool:
        return any(value is each or value == each for each in self)

    def __repr__(self) -> str:
        return "values()"
