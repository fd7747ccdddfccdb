"""The objects in the documents that `--json` prints, each made from an open client.

Commands show tables from these same objects, so that both tell the same.

    node       id, running, wal, display_name, hostname, os, version, capabilities,
               started_at_ms and uptime_ms (null when it is not running)
    store      entries, digest, tombstones_held: which peer (peer) holds back the collection of how
               many removed keys (count), of which the first was removed when (since_ms)
    sync       the fields of `SyncState`; per_peer: {node id: the fields of `PeerSync`}
    transport  running, host, port (null when not running), security (null: none), peers, connected
    discovery  running, peers
    peers      a list of the fields of `PeerStatus`
    entry      key, value (as tagged_json says), version, timestamp_ms, origin, sync_id
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from softadastra.cli.tagged_json import to_json
from softadastra.types import Entry, PeerSource, PeerState, PeerStatus, SyncState

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from softadastra import Client

__all__ = [
    "Document",
    "discovery_document",
    "entry_document",
    "fields_of",
    "node_document",
    "store_document",
    "sync_document",
    "transport_document",
]

Document = dict[str, object]
"""A JSON object."""


def node_document(client: Client, wal_path: Path | None, *, is_running: bool) -> Document:
    """Describe the node; one that is open for a command only is not running."""
    info = client.node_info()
    return {
        "id": info.node_id,
        "running": is_running,
        "wal": None if wal_path is None else str(wal_path),
        "display_name": info.display_name,
        "hostname": info.hostname,
        "os": info.os_name,
        "version": info.version,
        "capabilities": sorted(info.capabilities),
        "started_at_ms": info.started_at_ms if is_running else None,
        "uptime_ms": info.uptime_ms if is_running else None,
    }


def store_document(client: Client) -> Document:
    """Count what the store holds, with the hash that is equal where it is the same."""
    return {
        "entries": client.size(),
        "digest": client.digest(),
        "tombstones_held": [fields_of(hold) for hold in client.tombstone_holds()],
    }


def sync_document(state: SyncState) -> Document:
    """Describe the outbox, as a whole and by peer."""
    per_peer = {node_id: fields_of(peer) for node_id, peer in state.per_peer.items()}
    return {**fields_of(state), "per_peer": per_peer}


def transport_document(
    client: Client, peers: Sequence[PeerStatus], *, host: str | None = None
) -> Document:
    """Describe where the node listens, and with how many of its peers it is in touch."""
    is_running = client.transport_running
    return {
        "running": is_running,
        "host": host if is_running else None,
        "port": client.transport_port if is_running else None,
        "security": client.options.security,
        "peers": len(peers),
        "connected": sum(peer.state is PeerState.CONNECTED for peer in peers),
    }


def discovery_document(client: Client, peers: Sequence[PeerStatus]) -> Document:
    """Describe the search for peers on the local network."""
    return {
        "running": client.discovery_running,
        "peers": sum(peer.source is PeerSource.MDNS for peer in peers),
    }


def entry_document(entry: Entry) -> Document:
    """Describe the value of a key and where it came from."""
    return {**fields_of(entry), "value": to_json(entry.value)}


def fields_of(value: DataclassInstance) -> Document:
    """List the fields of a value, one level deep."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
