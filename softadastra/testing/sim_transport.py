"""A simulated node's transport: the port that the driver uses, over the simulated network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Final

from softadastra.testing.sim_link import End, SimLink
from softadastra.transport.links import (
    DownReason,
    Link,
    LinkDown,
    LinkEvent,
    LinkUp,
    Received,
    SendResult,
    TransportEvent,
)

if TYPE_CHECKING:
    from softadastra.testing.sim_network import SimNetwork

__all__ = ["QUEUE_FRAMES_MAX", "SimTransport"]

QUEUE_FRAMES_MAX: Final = 16
"""Frames on their way to one end of a link; as the high-water mark of `transport.sockets`."""

EVENTS_PER_POLL_MAX: Final = 64
"""Few, so that a node often has to poll again for the rest."""


class SimTransport:
    """The links of one node, an implementation of the port `Transport`. Not thread-safe.

    Args:
        network: what it is attached to.
        host: the machine of the node, where others reach it.
        wake: called when something has happened to its links.
    """

    def __init__(self, network: SimNetwork, host: str, wake: Callable[[], None]) -> None:
        self.host = host
        self.ends: dict[Link, End] = {}
        self.is_paused = False
        self.operations = 0
        """How many frames, dials and drops were asked for."""
        self.sending: Callable[[str, bytes], None] = _nobody
        """Called with the receiver and each frame that leaves."""
        self.wake = wake
        self._network = network
        self._inbox: deque[LinkEvent] = deque()
        self._numbers = count(1)

    def bind(self, host: str, port: int) -> int:  # noqa: ARG002  attached is bound
        """See `Transport.bind`: a simulated node listens as long as it is attached."""
        return port

    def dial(self, host: str, port: int, node_id: str = "") -> Link:  # noqa: ARG002  one a host
        """See `Transport.dial`."""
        self.operations += 1
        number = Link(next(self._numbers))
        link = SimLink(self, number, host)
        self.ends[number] = link.ends[self.host]
        self._network.dial(link)
        return number

    def send(self, link: Link, payload: bytes) -> SendResult:
        """See `Transport.send`."""
        self.operations += 1
        end = self.ends.get(link)
        if end is None:
            return SendResult.GONE
        if end.link.is_ended:
            self._forget(end)
            self._tell(LinkDown(link, DownReason.GONE.value))
            return SendResult.GONE
        if not end.link.is_up or end.link.far_end(self.host).unread >= QUEUE_FRAMES_MAX:
            return SendResult.FULL
        dialler, listener = end.link.names
        self.sending(listener if end.is_dialled else dialler, payload)
        self._network.carry(end.link, self.host, payload)
        return SendResult.SENT

    def drop(self, link: Link) -> None:
        """See `Transport.drop`."""
        self.operations += 1
        end = self.ends.get(link)
        if end is not None:
            self._forget(end)
            self._discard(end)
            if end.is_dialled:
                self._network.hang_up(end.link)

    def poll(self, timeout_ms: int | None) -> list[TransportEvent]:  # noqa: ARG002  never waits
        """See `Transport.poll`: here the world waits, and this takes what there is."""
        count = min(len(self._inbox), EVENTS_PER_POLL_MAX)
        events: list[TransportEvent] = [self._inbox.popleft() for _ in range(count)]
        for event in events:
            if isinstance(event, Received) and (end := self.ends.get(event.link)) is not None:
                end.unread -= 1
        if self._inbox:
            self.wake()
        return events

    def close(self) -> None:
        """See `Transport.close`."""
        self._network.detach(self, is_silent=False)

    # What the network tells.

    def link_up(self, end: End) -> None:
        """A dialled link is up."""
        if end.number is not None:
            self._tell(LinkUp(end.number, dialled=True, address=end.link.names[1]))

    def frame_arrived(self, end: End, payload: bytes) -> None:
        """A frame has come; an inbound link comes up with its first one."""
        if end.number is None:
            end.number = Link(next(self._numbers))
            self.ends[end.number] = end
            self._tell(LinkUp(end.number, dialled=False, address=end.address))
        self._tell(Received(end.number, payload))

    def link_down(self, end: End, reason: str) -> None:
        """A dialled link has ended, with what was not polled."""
        if end.number is not None:
            self._forget(end)
            self._discard(end)
            self._tell(LinkDown(end.number, reason))

    def _forget(self, end: End) -> None:
        end.is_open = False
        if end.number is not None:
            self.ends.pop(end.number, None)

    def _discard(self, end: End) -> None:
        self._inbox = deque(event for event in self._inbox if event.link != end.number)

    def _tell(self, event: LinkEvent) -> None:
        self._inbox.append(event)
        self.wake()


def _nobody(receiver: str, payload: bytes) -> None:
    """Nobody listens."""
