"""Softadastra: an offline-first replicated key-value store for networks of peers.

    from softadastra import Client, ClientOptions, Peer

    options = ClientOptions.persistent("node-a", "data/node-a.wal").with_local_transport(4041)
    with Client(options) as node:
        node.put("message/1", "hello")          # durable, with nobody in reach
        node.start_transport()
        node.connect(Peer("node-b", "127.0.0.1", 4042))
        node.wait_synced(timeout=5.0)           # durable at node-b

`errors.py` has every exception, `types.py` what the calls return. Names load when they are
first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softadastra.client import Client
    from softadastra.errors import (
        AlreadyExistsError,
        DiscoveryError,
        ErrorCode,
        InternalError,
        InvalidArgumentError,
        InvalidStateError,
        MetadataError,
        NotFoundError,
        OtherProtocolError,
        PositionLostError,
        ProtocolError,
        SoftadastraError,
        StorageError,
        StoreError,
        StoreLockedError,
        SyncError,
        TransportError,
        WalCorruptionError,
        WatchOverflowError,
    )
    from softadastra.explanation import KeyExplanation, PeerExplanation, Readiness
    from softadastra.findings import Cause, Finding
    from softadastra.health.exposition import exposition
    from softadastra.health.readiness import readiness
    from softadastra.options import ClientOptions
    from softadastra.runtime.events import configure_logging
    from softadastra.runtime.listening import Subscription
    from softadastra.types import (
        BEGINNING,
        Change,
        Conflict,
        ConflictingValue,
        Entry,
        Event,
        MergeFunction,
        NodeInfo,
        Peer,
        PeerSource,
        PeerState,
        PeerStatus,
        PeerSync,
        PutResult,
        Storable,
        SyncState,
        TickResult,
        TombstoneHold,
        Value,
    )
    from softadastra.vitals import Rates, Vitals
    from softadastra.watch import Watch

__version__ = "0.1.0"

__all__ = [
    "BEGINNING",
    "AlreadyExistsError",
    "Cause",
    "Change",
    "Client",
    "ClientOptions",
    "Conflict",
    "ConflictingValue",
    "DiscoveryError",
    "Entry",
    "ErrorCode",
    "Event",
    "Finding",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "KeyExplanation",
    "MergeFunction",
    "MetadataError",
    "NodeInfo",
    "NotFoundError",
    "OtherProtocolError",
    "Peer",
    "PeerExplanation",
    "PeerSource",
    "PeerState",
    "PeerStatus",
    "PeerSync",
    "PositionLostError",
    "ProtocolError",
    "PutResult",
    "Rates",
    "Readiness",
    "SoftadastraError",
    "Storable",
    "StorageError",
    "StoreError",
    "StoreLockedError",
    "Subscription",
    "SyncError",
    "SyncState",
    "TickResult",
    "TombstoneHold",
    "TransportError",
    "Value",
    "Vitals",
    "WalCorruptionError",
    "Watch",
    "WatchOverflowError",
    "__version__",
    "configure_logging",
    "exposition",
    "readiness",
]

HOMES = {
    "Cause": "findings",
    "Client": "client",
    "ClientOptions": "options",
    "Finding": "findings",
    "KeyExplanation": "explanation",
    "PeerExplanation": "explanation",
    "Rates": "vitals",
    "Readiness": "explanation",
    "Vitals": "vitals",
    "Subscription": "runtime.listening",
    "Watch": "watch",
    "configure_logging": "runtime.events",
    "exposition": "health.exposition",
    "readiness": "health.readiness",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = HOMES.get(name) or ("errors" if name.endswith(("Error", "ErrorCode")) else "types")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
