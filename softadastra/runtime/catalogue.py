"""All events that a node can tell, and how much each matters; `docs/events.md` says the rest."""

from __future__ import annotations

from typing import Final

from softadastra.errors import InvalidArgumentError
from softadastra.sync.notices import Level

__all__ = ["EVENTS", "levels_of"]

EVENTS: Final[dict[str, Level]] = {
    "write.accepted": Level.DEBUG,
    "write.released": Level.DEBUG,
    "write.pruned": Level.DEBUG,
    "write.collected": Level.DEBUG,
    "write.dropped": Level.DEBUG,
    "wal.synced": Level.DEBUG,
    "wal.replayed": Level.INFO,
    "wal.compacted": Level.INFO,
    "compaction.failed": Level.ERROR,
    "identity.renewed": Level.WARNING,
    "wal.tail_cut": Level.WARNING,
    "wal.failed": Level.ERROR,
    "dial.failed": Level.DEBUG,
    "peer.connected": Level.INFO,
    "peer.lost": Level.INFO,
    "peer.refused": Level.WARNING,
    "peer.excluded": Level.WARNING,
    "connection.cut": Level.WARNING,
    "peer.rejected": Level.WARNING,
    "peer.renewed": Level.INFO,
    "history.parted": Level.WARNING,
    "history.renamed": Level.WARNING,
    "peer.faulted": Level.WARNING,
    "peer.recovered": Level.INFO,
    "auth.failed": Level.WARNING,
    "trust.changed": Level.INFO,
    "trust.refused": Level.ERROR,
    "discovery.started": Level.INFO,
    "discovery.announced": Level.INFO,
    "discovery.confined": Level.WARNING,
    "discovery.failed": Level.WARNING,
    "discovery.clashed": Level.WARNING,
    "discovery.flooded": Level.WARNING,
    "discovery.stopped": Level.INFO,
    "peer.found": Level.INFO,
    "announcement.ended": Level.DEBUG,
    "batch.sent": Level.DEBUG,
    "batch.retried": Level.INFO,
    "batch.received": Level.DEBUG,
    "batch.acknowledged": Level.DEBUG,
    "batch.confirmed": Level.DEBUG,
    "have.told": Level.DEBUG,
    "have.heard": Level.DEBUG,
    "batch.merged": Level.DEBUG,
    "conflict.lost": Level.INFO,
    "conflict.found": Level.INFO,
    "conflict.unmerged": Level.WARNING,
    "merge.delayed": Level.WARNING,
    "digest.differed": Level.ERROR,
    "write.doubled": Level.ERROR,
    "message.oversized": Level.ERROR,
    "snapshot.started": Level.INFO,
    "snapshot.committed": Level.INFO,
    "snapshot.joined": Level.DEBUG,
    "transport.started": Level.INFO,
    "transport.stopped": Level.INFO,
    "reactor.failed": Level.ERROR,
    "control.failed": Level.WARNING,
    "control.unlisted": Level.WARNING,
    "control.refused": Level.WARNING,
    "control.dropped": Level.DEBUG,
    "control.faulted": Level.ERROR,
    "dashboard.faulted": Level.ERROR,
    "node.closed": Level.INFO,
    "log.missed": Level.WARNING,
    "listener.failed": Level.WARNING,
    "listener.overflowed": Level.WARNING,
}


def levels_of(wanted: str) -> dict[str, Level]:
    """Give the events that are meant by a name, or by what names begin with up to a dot.

    Args:
        wanted: "peer.connected", or "peer." for all of a subject, or "" for all events.

    Raises:
        InvalidArgumentError: there are none.
    """
    if isinstance(wanted, str):
        if wanted in EVENTS:
            return {wanted: EVENTS[wanted]}
        if not wanted or wanted.endswith("."):
            found = {name: level for name, level in EVENTS.items() if name.startswith(wanted)}
            if found:
                return found
    raise InvalidArgumentError(
        f"no event is named {wanted!r:.80}: expected a name of docs/events.md as 'peer.connected', "
        "what names begin with as 'peer.', or '' for all",
        event=wanted,
    )
