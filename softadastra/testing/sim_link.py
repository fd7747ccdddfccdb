"""One simulated connection between two nodes, with what is on its way over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from softadastra.transport.links import Link

if TYPE_CHECKING:
    from softadastra.testing.sim_transport import SimTransport

__all__ = ["End", "SimLink"]


@dataclass(slots=True, eq=False)
class End:
    """One side of a link."""

    link: SimLink
    transport: SimTransport | None
    """None: the listener has not accepted yet."""
    number: Link | None
    """The link's name here; None on the listening side until the first frame comes."""
    is_dialled: bool
    address: str = ""
    is_open: bool = True
    """Whether this side still takes what comes."""
    unread: int = 0
    """Frames on their way here, or here and not polled."""
    last_arrival_ms: int = 0
    """When the last frame that is on its way comes: none may overtake it."""
    held: list[bytes] = field(default_factory=list)
    """Frames that a partition keeps from coming here, in order."""


class SimLink:
    """A connection, from the attempt to its end.

    Args:
        dialler: who dials.
        number: the link's name there.
        host: of who is dialled.
    """

    __slots__ = ("ends", "is_ended", "names")

    def __init__(self, dialler: SimTransport, number: Link, host: str) -> None:
        self.names = (dialler.host, host)
        """Dialler, listener."""
        self.ends = {
            dialler.host: End(self, dialler, number, is_dialled=True),
            host: End(self, None, None, is_dialled=False),
        }
        self.is_ended = False

    @property
    def is_up(self) -> bool:
        """Whether frames can be sent both ways."""
        return not self.is_ended and self.ends[self.names[1]].transport is not None

    def joins(self, one: str, other: str) -> bool:
        """Whether it is between these two."""
        return self.ends.keys() == {one, other}

    def far_end(self, machine: str) -> End:
        """Give the end where frames of this machine arrive."""
        dialler, listener = self.names
        return self.ends[listener if machine == dialler else dialler]

    def accept(self, listener: SimTransport) -> None:
        """Let the listener take the connection; the dialler is told."""
        dialler, host = self.names
        self.ends[host].transport = listener
        self.ends[host].address = dialler
        end = self.ends[dialler]
        if end.transport is not None and end.is_open:
            end.transport.link_up(end)

    def arrive(self, sender: str, payload: bytes) -> None:
        """Hand over a frame of this node, or throw it away when nobody takes it."""
        end = self.far_end(sender)
        if end.transport is not None and end.is_open and not self.is_ended:
            end.transport.frame_arrived(end, payload)
        else:
            end.unread -= 1

    def end(self, reason: str) -> None:
        """End for both sides; a listener finds out when it sends."""
        self.is_ended = True
        end = self.ends[self.names[0]]
        if end.transport is not None and end.is_open:
            end.transport.link_down(end, reason)
