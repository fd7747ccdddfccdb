"""What went over connections: totals that only rise, for whoever looks twice to see rates."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Traffic"]


@dataclass(slots=True)
class Traffic:
    """Totals of one connection, or of several. An addition a message, none a write.

    Bytes are those of messages, without what ZeroMQ, CURVE and TCP add. Batches are messages that
    bring data, parts of snapshots among them.
    """

    bytes_in: int = 0
    bytes_out: int = 0
    batches_in: int = 0
    """That became durable here, also those that came twice."""
    batches_out: int = 0
    """That left for the first time; who sends one again counts it under `retries`."""
    writes_in: int = 0
    """Writes that came and had not been here."""
    writes_out: int = 0
    """Writes in batches that left for the first time."""

    def add(self, other: Traffic) -> None:
        """Add the totals of another connection."""
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.batches_in += other.batches_in
        self.batches_out += other.batches_out
        self.writes_in += other.writes_in
        self.writes_out += other.writes_out
