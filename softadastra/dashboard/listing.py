"""What the page reads of the node: keys, values, conflicts and why something is not in step.

Each holds the node's lock for a page at most, whatever it stores.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import Final

from softadastra.client import Client
from softadastra.dashboard.documents import (
    GLIMPSE_CHARACTERS,
    VALUE_CHARACTERS,
    Document,
    conflict_document,
    entry_document,
)
from softadastra.errors import NotFoundError
from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.scans import page_of
from softadastra.sync.status import lost_by_key, lost_conflict, open_conflict
from softadastra.types import Conflict

__all__ = ["conflict_page", "find_conflict", "key_page", "one_key", "one_peer"]

KEYS_MAX: Final = 50
"""Keys a page."""

SCANNED_PAGES_MAX: Final = 8
"""Pages of the store that one page of the browser looks at: where thousands of keys in a row are
removed ones, it has fewer keys, and goes on behind them."""

CONFLICTS_MAX: Final = 20
"""Conflicts a page, of 16 values each at most."""


def key_page(client: Client, prefix: str, after: str | None) -> Document:
    """Give the keys with a prefix that come behind one, and where the next page goes on."""
    node = client._opened()
    keys: list[str] = []
    is_over = False
    for _ in range(SCANNED_PAGES_MAX):
        page = page_of(node, prefix, after)
        if not page:
            is_over = True
            break
        keys += (key for key in page if node.replica.sibling(key) is not None)
        after = page[-1]
        if len(keys) > KEYS_MAX:
            keys = keys[:KEYS_MAX]
            after = keys[-1]
            break
    entries = [entry for key in keys if (entry := client.entry(key)) is not None]
    return {
        "keys": [entry_document(entry, GLIMPSE_CHARACTERS) for entry in entries],
        "next": None if is_over else after,
    }


def one_key(client: Client, key: str) -> Document:
    """Give what a key holds, and how it stands at the peers."""
    entry = client.entry(key)
    explained = _explanation_document(client.explain_key(key))
    shown = None if entry is None else entry_document(entry, VALUE_CHARACTERS)
    return {"key": key, "entry": shown, **explained}


def one_peer(client: Client, node_id: str) -> Document:
    """Give how a peer stands, in words."""
    return {"node_id": node_id, **_explanation_document(client.explain_peer(node_id))}


def conflict_page(client: Client, *, is_open: bool, after: str) -> Document:
    """Give conflicts by name, behind a key, and where the next page goes on."""
    node = client._opened()
    replica = node.replica
    with node.lock:
        lost = {} if is_open else lost_by_key(replica)
        behind = (key for key in (replica.conflicted if is_open else lost) if key > after)
        keys = nsmallest(CONFLICTS_MAX + 1, behind)
        shown = keys[:CONFLICTS_MAX]
        found = [
            open_conflict(replica, key) if is_open else lost_conflict(replica, key, lost[key])
            for key in shown
        ]
    return {
        "conflicts": [conflict_document(each) for each in found],
        "next": shown[-1] if len(keys) > len(shown) else None,
    }


def find_conflict(client: Client, key: str) -> Conflict:
    """Give the conflict of a key.

    Raises:
        NotFoundError: it has none.
    """
    node = client._opened()
    with node.lock:
        if key in node.replica.conflicted:
            return open_conflict(node.replica, key)
        items = lost_by_key(node.replica).get(key)
        if items is None:
            raise NotFoundError(f"key {key!r} has no conflict any more", key=key)
        return lost_conflict(node.replica, key, items)


def _explanation_document(explanation: KeyExplanation | PeerExplanation) -> Document:
    return {"sentences": explanation.sentences, "advice": explanation.advice}
