"""Scans over a store: a page at a time, so that they hold up nobody."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple, Protocol

from softadastra.store.replica import Replica

__all__ = ["Page", "page_of"]

PAGE_KEYS = 512
"""Keys that a scan reads at a time."""


class Scanned(Protocol):
    """A node, as far as a scan knows it."""

    replica: Replica
    lock: Lock


class Page(NamedTuple):
    """Some keys of a scan."""

    keys: list[str]
    """Those that have a value."""
    last: str
    """The last one that was looked at; the scan goes on behind it."""


def page_of(node: Scanned, prefix: str, after: str | None) -> Page | None:
    """Give the next keys of a scan that have a value now; None at its end."""
    replica = node.replica
    with node.lock:
        keys = replica.page(prefix=prefix, after=after, limit=PAGE_KEYS)
    if not keys:
        return None
    return Page([key for key in keys if replica.sibling(key) is not None], keys[-1])
