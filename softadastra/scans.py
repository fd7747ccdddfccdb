"""Scans over a store: a page at a time, so that they hold up nobody.

A page has keys; what they hold is looked up when their turn comes. So a scan costs what is taken of
it, and shows each key as it is then. Whether the node is open still is asked once a page.

The first one makes the order of the keys, which takes half a second for a million (measured):
without the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Protocol, TypeAlias

from softadastra.store.keys import in_order
from softadastra.store.replica import Replica
from softadastra.store.values import unpack_value
from softadastra.types import Value

__all__ = ["Opened", "items_of", "keys_of", "page_of", "put_in_order"]

PAGE_KEYS = 512
"""Keys that a scan reads, or catches up with, at a time."""


class Scanned(Protocol):
    """A node, as far as a scan knows it."""

    replica: Replica
    lock: Lock


Opened: TypeAlias = Callable[[], Scanned]
"""Gives the node that is open, or raises that none is."""


def keys_of(opened: Opened, prefix: str) -> Iterator[str]:
    """Give the keys with a prefix, in order, that have a value when their turn comes."""
    for replica, keys in _pages(opened, prefix):
        held = replica.entries.get
        for key in keys:
            state = held(key)
            if state[4] if type(state) is tuple else replica.value(key):
                yield key


def items_of(opened: Opened, prefix: str) -> Iterator[tuple[str, Value]]:
    """Give the keys with a prefix, in order, with the value that each has when its turn comes."""
    for replica, keys in _pages(opened, prefix):
        held = replica.entries.get
        for key in keys:
            state = held(key)
            # Nearly always a tuple. To ask the replica of each takes twice as long.
            packed = state[4] if type(state) is tuple else replica.value(key)
            if packed:
                yield key, unpack_value(packed)


def _pages(opened: Opened, prefix: str) -> Iterator[tuple[Replica, list[str]]]:
    after: str | None = None
    while keys := page_of(node := opened(), prefix, after):
        yield node.replica, keys
        after = keys[-1]


def page_of(node: Scanned, prefix: str, after: str | None) -> list[str]:
    """Give the next keys of a scan, removed ones included; none at its end."""
    put_in_order(node)
    with node.lock:
        return node.replica.page(prefix=prefix, after=after, limit=PAGE_KEYS)


def put_in_order(node: Scanned) -> None:
    """Have the keys in order, but for a few, before somebody asks for some while he holds the lock.

    Not holding it.
    """
    ordered, keys = node.replica.ordered, node.replica.entries
    while (behind := ordered.behind) is None or behind > PAGE_KEYS:
        with node.lock:
            unordered = ordered.begin(keys)
            if unordered is None:
                ordered.catch_up(keys, PAGE_KEYS)
                continue
        parts = in_order(unordered)
        with node.lock:
            ordered.adopt(parts, unordered.number)
