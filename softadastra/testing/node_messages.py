"""The results that a node process sends to its parent, as JSON and back.

Each line is one JSON object. A command is {"id": n, "command": name, ...}; its answer is
{"id": n, "result": ...} or {"id": n, "error": {"type", "message"}}. The first line of a
process is the answer to command 0, which nobody sends: {"node_id", "port", "pid"}.

Values travel packed as in the store (MessagePack) and in Base64, because JSON has neither
bytes nor datetimes, and comparing packed values tells 1 from 1.0 and from True.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from softadastra import errors
from softadastra.errors import SoftadastraError
from softadastra.types import PeerSource, PeerState, PeerStatus, PeerSync, SyncState

__all__ = [
    "READY_ID",
    "error_from_json",
    "error_to_json",
    "packed_from_text",
    "packed_to_text",
    "peer_status_from_json",
    "sync_state_from_json",
    "sync_state_to_json",
]

READY_ID = 0
"""The id of the line that says that a process is ready, or why it is not."""

ERROR_CLASSES: dict[str, type[SoftadastraError]] = {
    name: getattr(errors, name) for name in errors.__all__ if name != "ErrorCode"
}


def packed_to_text(packed: bytes) -> str:
    """Make a packed value fit for JSON."""
    return base64.b64encode(packed).decode("ascii")


def packed_from_text(text: str) -> bytes:
    """Read what `packed_to_text` made."""
    return base64.b64decode(text, validate=True)


def error_to_json(error: SoftadastraError) -> dict[str, str]:
    """Describe an error; its context stays behind, since JSON may not carry it."""
    return {"type": type(error).__name__, "message": error.message}


def error_from_json(error: Mapping[str, str]) -> SoftadastraError:
    """Make the error that a call in this process would have raised."""
    return ERROR_CLASSES[error["type"]](error["message"])


def sync_state_to_json(state: SyncState) -> dict[str, Any]:
    """Describe a node's outbox. `asdict` cannot: `per_peer` may be a read-only view."""
    plain = {field.name: getattr(state, field.name) for field in fields(state)}
    return plain | {"per_peer": {peer: asdict(share) for peer, share in state.per_peer.items()}}


def sync_state_from_json(state: Mapping[str, Any]) -> SyncState:
    """Read what `sync_state_to_json` made."""
    per_peer = {peer: PeerSync(**share) for peer, share in state["per_peer"].items()}
    return SyncState(**{**state, "per_peer": per_peer})


def peer_status_from_json(status: Mapping[str, Any]) -> PeerStatus:
    """Read one element of the answer to "peers", which is `asdict` of a `PeerStatus`."""
    return PeerStatus(
        **{**status, "state": PeerState(status["state"]), "source": PeerSource(status["source"])}
    )
