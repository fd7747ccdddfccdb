"""Messages in words, for the trace of a simulation."""

from __future__ import annotations

from typing import assert_never

from softadastra.sync.messages import (
    Ack,
    Batch,
    Bye,
    Have,
    Haves,
    Hello,
    Message,
    Named,
    Ping,
    Pong,
    Reject,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)

__all__ = ["describe"]


def describe(message: Message) -> str:
    """Give a message in one line."""
    match message:
        case Hello():
            known = f"{has(message.have)}{names(message.named)}"
            return f"hello, has {known}, digest {message.digest.hex()[:8]}"
        case Reject(reason, words):
            return f"reject {reason.name.lower()}: {words}"
        case Batch():
            claims = [
                f"{message.origins[origin].node_id}-{first}..{first + sum(r[0] for r in runs) - 1}"
                for origin, first, runs in message.claims
            ]
            return f"batch {message.id}: {' '.join(claims)} as {len(message.keys)} entries"
        case Ack(batches, have, _):
            return f"ack {batches}, has {has(have)}"
        case Have(number, have, named, _, digest, neighbours, _):
            near = " ".join(sorted(neighbours)) or "nobody"
            known = f"{has(have)}{names(named)}, digest {digest.hex()[:8]}"
            return f"have {number}: {known}, connected to {near}"
        case SnapshotBegin(snapshot, _, have, _):
            return f"snapshot {snapshot} begins, of {has(have)}"
        case SnapshotRange(snapshot, after, last, _, batch):
            return f"snapshot {snapshot}: {after} to {last} as {len(batch.keys)} entries"
        case SnapshotCommit(snapshot, _):
            return f"snapshot {snapshot} ends"
        case Ping():
            return "ping"
        case Pong():
            return "pong"
        case Bye():
            return "bye"
        case _ as unreachable:
            assert_never(unreachable)


def names(named: Named) -> str:
    """Say what is known by contexts alone."""
    told = " ".join(f"{origin.node_id}-{n}" for origin, n in named.items())
    return f", knows of {told}" if told else ""


def has(have: Haves) -> str:
    """Give a have as "node-a-1..64"; ranges above a gap follow a plus sign."""
    return (
        " ".join(
            f"{origin.node_id}-1..{dots.base}" + "".join(f"+{a}..{b}" for a, b in dots.above)
            for origin, dots in sorted(have.items())
        )
        or "nothing"
    )
