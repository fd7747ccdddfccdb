"""The objects in the documents that `--json` prints, each made from a node that was reached.

Commands show tables from these same objects, so that both tell the same.

    node       id, running, wal, display_name, hostname, os, version, capabilities;
               pid, started_at_ms and uptime_ms (null when it is not running)
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
from typing import TYPE_CHECKING

from softadastra.tagged_json import to_json
from softadastra.types import Entry, PeerSource, PeerState, PeerStatus, SyncState, TombstoneHold

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from softadastra.cli.reaching import Reached

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


def node_document(reached: Reached) -> Document:
    """Describe the node; one that is open for a command only is not running."""
    info, is_running = reached.node.node_info(), reached.is_running
    return {
        "id": info.node_id,
        "running": is_running,
        "pid": reached.pid,
        "wal": None if reached.wal_path is None else str(reached.wal_path),
        "display_name": info.display_name,
        "hostname": info.hostname,
        "os": info.os_name,
        "version": info.version,
        "capabilities": sorted(info.capabilities),
        "started_at_ms": info.started_at_ms if is_running else None,
        "uptime_ms": info.uptime_ms if is_running else None,
    }


def store_document(reached: Reached, holds: Sequence[TombstoneHold]) -> Document:
    """Count what the store holds, with the hash that is equal where it is the same."""
    return {
        "entries": reached.node.size(),
        "digest": reached.node.digest(),
        "tombstones_held": [fields_of(hold) for hold in holds],
    }


def sync_document(state: SyncState) -> Document:
    """Describe the outbox, as a whole and by peer."""
    per_peer = {node_id: fields_of(peer) for node_id, peer in state.per_peer.items()}
    return {**fields_of(state), "per_peer": per_peer}


def transport_document(reached: Reached, peers: Sequence[PeerStatus]) -> Document:
    """Describe where the node listens, and with how many of its peers it is in touch."""
    port = reached.node.transport_port
    return {
        "running": port is not None,
        "host": None if port is None else reached.host,
        "port": port,
        "security": reached.security,
        "peers": len(peers),
        "connected": sum(peer.state is PeerState.CONNECTED for peer in peers),
    }


def discovery_document(reached: Reached, peers: Sequence[PeerStatus]) -> Document:
    """Describe the search for peers on the local network."""
    return {
        "running": reached.node.discovery_running,
        "peers": sum(peer.source is PeerSource.MDNS for peer in peers),
    }


def entry_document(entry: Entry) -> Document:
    """Describe the value of a key and where it came from."""
    return {**fields_of(entry), "value": to_json(entry.value)}


def fields_of(value: DataclassInstance) -> Document:
    """List the fields of a value, one level deep."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
