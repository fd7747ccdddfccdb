"""Finds the connections that stuff libzmq with a message that does not end.

libzmq collects a message until its last frame has come. MAXMSGSIZE bounds each frame and RCVHWM the
number of messages, but nothing the number of frames: with one that goes on for ever a peer takes
0.9 to 4 GB a second of memory (measured on a virtual machine, with frames of none and of 1 MB), and
an empty frame, two bytes on the wire, takes 64 in memory. Nor does libzmq tell that it does so.

The system tells how many bytes came over each connection, and `arrivals.py` when to ask. When all
that is whole was taken, what came beside it is the beginning of one frame, which is 1.25 MiB at
most. More than that at two looks, without a message between them, is no message of a node. Neither
is more than libzmq queues, whatever was taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from softadastra.transport.curve import OVERHEAD_BYTES
from softadastra.transport.links import FRAME_BYTES_MAX
from softadastra.transport.severing import Connection
from softadastra.transport.sockets import QUEUE_MESSAGES_MAX

__all__ = [
    "ALL_BYTES_MAX",
    "LOOK_INTERVAL_MS",
    "MESSAGE_OVERHEAD_BYTES",
    "ONE_BYTES_MAX",
    "QUEUED_BYTES_MAX",
    "SUSPECT_INTERVAL_MS",
    "Intake",
    "stuffed",
]

LOOK_INTERVAL_MS: Final = 100
"""How often to look while bytes come: 10 to 20 us for each of them. What somebody
stuffs in between is 100 MB at 10 Gbit/s, and up to 0.4 GB on the same machine (measured)."""
SUSPECT_INTERVAL_MS: Final = 20
"""How soon to look again when somebody has too much, or has only just come."""

ONE_BYTES_MAX: Final = FRAME_BYTES_MAX + 65_536
"""Of one connection: a frame with what encryption adds, and what was read beside it."""
ALL_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of all connections together; above it the largest go. 64 peers that send batches of the default
size, 256 KiB, and are all in the middle of one. In empty frames it takes half a GB."""
QUEUED_BYTES_MAX: Final = (QUEUE_MESSAGES_MAX + 2) * FRAME_BYTES_MAX
"""Of one connection of which not all was taken: a full queue, and what does not fit any more."""


MESSAGE_OVERHEAD_BYTES: Final = 9 + OVERHEAD_BYTES
"""What a message takes on the wire beside its payload, at most (RFC 23 and 26 of ZeroMQ)."""


class Intake:
    """What came over one connection beside its whole messages."""

    __slots__ = ("_base", "connection", "is_suspected", "pending_bytes")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._base = 0
        """How much of what came is accounted for, or more since the last look."""
        self.pending_bytes = 0
        """At the last look."""
        self.is_suspected = False
        """Whether that was too much."""

    def heard(self, size_bytes: int) -> None:
        """Note that a whole message was taken."""
        self._base += size_bytes + MESSAGE_OVERHEAD_BYTES
        self.is_suspected = False

    def look(self) -> None:
        """Ask the system."""
        received = self.connection.received_bytes()
        if received is None:
            self.pending_bytes, self.is_suspected = 0, False
            return
        # Most messages take less than they are counted with, which shall excuse nothing to come.
        self._base = min(received, self._base)
        self.pending_bytes = received - self._base
        if self.pending_bytes > ONE_BYTES_MAX:
            self.pending_bytes -= self.connection.unread_bytes()


def stuffed(intakes: Iterable[Intake], *, is_drained: bool) -> list[Intake]:
    """Look at connections, and give those that are to be cut.

    Args:
        intakes: of all connections.
        is_drained: whether of each all whole messages were taken since the last look, or at least
            one, if it had any.
    """
    known = list(intakes)
    for intake in known:
        intake.look()
    guilty = [intake for intake in known if intake.pending_bytes > QUEUED_BYTES_MAX]
    if not is_drained:
        return guilty
    left = sum(intake.pending_bytes for intake in known)
    too_much = []
    for intake in sorted(known, key=lambda intake: intake.pending_bytes, reverse=True):
        if intake.pending_bytes <= ONE_BYTES_MAX and left <= ALL_BYTES_MAX:
            break
        too_much.append(intake)
        left -= intake.pending_bytes
    guilty += [intake for intake in too_much if intake.is_suspected]
    for intake in known:
        intake.is_suspected = intake in too_much and intake not in guilty
    return list(dict.fromkeys(guilty))
