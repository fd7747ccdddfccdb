"""What is found when it is asked why a key or a peer is not in step, as data.

`softadastra/sentences.py` puts findings into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Cause", "Finding"]


class Cause(StrEnum):
    """What was found. The values are for programs, and do not change their meaning."""

    # How it is.
    IN_STEP = "in_step"
    """Nothing is missing, as far as is known."""
    PRESENT = "present"
    """The key has a value here."""
    REMOVED = "removed"
    """The key is removed here, and its tombstone is kept."""
    ABSENT = "absent"
    """The key is not here, and no trace of it."""
    CONFLICT = "conflict"
    """Concurrent writes of the key wait to be settled: `writes` of them."""
    LOST = "lost"
    """A write of the key lost a conflict: `detail` names it."""
    HAVE_IT = "have_it"
    """The peers in `peers` have all writes that stand for the key."""
    LACKS_KEY = "lacks_key"
    """The peer lacks a write that stands for the key: `detail` names it."""
    LACKS = "lacks"
    """The peer lacks `writes` of this node, the first of which was made at `since_ms`."""
    LACKS_OTHERS = "lacks_others"
    """The peer lacks `writes` of other nodes that are here."""
    IS_AHEAD = "is_ahead"
    """The peer has `writes` that are not here."""
    ALONE = "alone"
    """No peer is known."""
    UNHEARD = "unheard"
    """Nobody has said what the peer has since this node opened."""

    # What this node keeps back.
    NOT_WRITING = "not_writing"
    """The disk failed: this node says nothing more to anybody."""
    DISK_FULL = "disk_full"
    """The last write found no room in the log; `detail` says how."""
    READ_ONLY = "read_only"
    """The file system of the log cannot be written; `detail` says how."""
    LOG_REFUSED = "log_refused"
    """The disk refused the last write to the log, for the reason in `detail`."""
    REACTOR_FAILED = "reactor_failed"
    """A bug ended this node's thread: it is offline."""
    STOPPED = "stopped"
    """This node does not run."""
    OFFLINE = "offline"
    """The transport of this node does not run."""
    HELD = "held"
    """`auto_queue=False` holds `writes` back."""
    UNTICKED = "unticked"
    """`auto_tick=False`: data leaves at a tick alone."""

    # Why there is no connection.
    DISCONNECTED = "disconnected"
    """It cannot be reached, for the reason in `detail`."""
    CONNECTING = "connecting"
    NO_ADDRESS = "no_address"
    """Nobody told where it is: it has to dial this node."""
    LEFT_ALONE = "left_alone"
    """People have disconnected it here."""
    AUTH_FAILED = "auth_failed"
    DIFFERENT_CLUSTER = "different_cluster"
    PROTOCOL = "protocol"
    UNAUTHORIZED = "unauthorized"
    DUPLICATE_IDENTITY = "duplicate_identity"
    POLICY_MISMATCH = "policy_mismatch"
    BUSY = "busy"
    SHUT_OUT = "shut_out"
    """It sent three bad messages in a minute; `detail` says what the last one was."""

    # Why a connected peer does not get it yet.
    PARTED = "parted"
    """Histories have parted: no data goes over the connection until one is renamed."""
    FAULTED = "faulted"
    """It did not answer after `attempts` sends of a batch."""
    UNANSWERED = "unanswered"
    """It is connected, and acknowledges nothing for longer than `ack_timeout`."""
    IN_FLIGHT = "in_flight"
    """Sent and not acknowledged; `attempts` times by now."""
    SNAPSHOT = "snapshot"
    """It is getting a snapshot, which brings it."""
    SNAPSHOT_DUE = "snapshot_due"
    """It needs a snapshot, which has not begun."""
    CONNECTION_FULL = "connection_full"
    WINDOW_FULL = "window_full"
    """As many batches are on their way as it takes at once: `batches`."""
    LEFT_TO_OTHERS = "left_to_others"
    """It probably gets the write from its writer, or from another node."""
    QUEUED = "queued"
    """It leaves next."""

    # What else is to be known.
    DIGEST_DIFFERED = "digest_differed"
    """It has the same writes and not the same state; a snapshot mends that."""
    SUSPENDED = "suspended"
    """Away for so long that nothing waits for it."""
    HOLDS_TOMBSTONES = "holds_tombstones"
    """`writes` removed keys are kept for it."""
    RELAYED = "relayed"
    """The peers in `peers` are connected to it, and pass writes on."""
    CLOCK_SKEWED = "clock_skewed"
    """Its clock is `skew_ms` before ours, or behind when that is negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. What does not apply is None or empty."""

    cause: Cause
    peer: str = ""
    since_ms: int | None = None
    """Since when, in milliseconds since 1970."""
    next_ms: int | None = None
    """When something is done about it by itself, in milliseconds since 1970."""
    writes: int = 0
    batches: int = 0
    attempts: int = 0
    skew_ms: int = 0
    detail: str = ""
    """In the words of whoever failed, or the name of a write."""
    peers: tuple[str, ...] = ()
