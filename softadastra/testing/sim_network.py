"""A simulated network: links between nodes in one world, and everything that befalls them.

Links behave as `softadastra.transport.links` says and as ZeroMQ over TCP does: in order, each
frame at most once, a bounded queue, an end that the dialler is told of and the other side
finds out when it sends. Beyond that there are faults that such links do not have (frames
dropped, doubled, out of order, replayed from earlier), because the protocol must not rest on the
carrier.

Conditions hold for a direction, from one node to another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from softadastra.testing.sim_link import SimLink
from softadastra.testing.sim_schedule import Schedule, Trace
from softadastra.testing.sim_transport import SimTransport
from softadastra.transport.links import DownReason

__all__ = ["PORT", "Conditions", "SimNetwork"]

PORT: Final = 4040
"""Where every simulated node listens; its host is its machine."""

CONNECT_TIMEOUT_MS: Final = 5_000
"""As `transport.dialled.CONNECT_TIMEOUT_MS`."""

HEARTBEAT_TIMEOUT_MS: Final = 6_000
"""A link over which nothing comes for so long is cut; as `transport.sockets`."""

REORDER_MAX_MS: Final = 1_000
"""How much later a frame comes whose place is lost."""

REMEMBERED_FRAMES: Final = 16
"""Frames of each direction that may be replayed later."""


@dataclass(slots=True)
class Conditions:
    """How frames fare from one node to another."""

    delay_ms: tuple[int, int] = (1, 3)
    """The least and the greatest; at least 1."""
    drop_chance: float = 0.0
    duplicate_chance: float = 0.0
    reorder_chance: float = 0.0
    is_blocked: bool = False
    """Nothing arrives; what is sent waits, and the link is cut when it waits too long."""
    remembered: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED_FRAMES))


class SimNetwork:
    """The network of one world. Not thread-safe.

    Args:
        schedule: the world's time.
        rng: decides delays and losses.
        trace: told of what befalls links.
    """

    def __init__(self, schedule: Schedule, rng: Random, trace: Trace) -> None:
        self.trace = trace
        self._schedule = schedule
        self._rng = rng
        self._transports: dict[str, SimTransport] = {}
        self._conditions: dict[tuple[str, str], Conditions] = {}
        self._links: list[SimLink] = []

    def conditions(self, sender: str, receiver: str) -> Conditions:
        """Give how frames fare in one direction, to look at or to change."""
        found = self._conditions.get((sender, receiver))
        if found is None:
            found = self._conditions[sender, receiver] = Conditions()
        return found

    def attach(self, host: str, wake: Callable[[], None]) -> SimTransport:
        """Give a node that starts its transport.

        Args:
            host: its machine, where others reach it.
            wake: called when something has happened to its links.
        """
        transport = self._transports[host] = SimTransport(self, host, wake)
        return transport

    def detach(self, transport: SimTransport, *, is_silent: bool) -> None:
        """Take the transport of a node that ends away. Idempotent.

        Args:
            transport: what it had.
            is_silent: whether its machine lost power, so that peers find out by heartbeat only;
                the system of a mere process tells them at once.
        """
        if self._transports.get(transport.host) is not transport:
            return
        del self._transports[transport.host]
        for link in self._links:
            end = link.ends.get(transport.host)
            if end is not None and end.transport is transport:
                end.is_open = False
                self._end_later(link, HEARTBEAT_TIMEOUT_MS if is_silent else self._delay_ms(link))

    # What transports ask for.

    def dial(self, link: SimLink) -> None:
        """Begin to connect."""
        self._links.append(link)
        dialler, host = link.names
        if self._is_blocked(link):
            self._end_later(link, CONNECT_TIMEOUT_MS, DownReason.TIMED_OUT)
            return
        delay_ms = self._one_way_ms(dialler, host) + self._one_way_ms(host, dialler)
        self._schedule.after(delay_ms, lambda: self._accept(link))

    def carry(self, link: SimLink, sender: str, payload: bytes) -> None:
        """Take a frame on its way."""
        dialler, listener = link.names
        receiver = listener if sender == dialler else dialler
        conditions = self.conditions(sender, receiver)
        conditions.remembered.append(payload)
        if conditions.drop_chance and self._rng.random() < conditions.drop_chance:
            self.trace.tell(receiver, f"loses a frame of {sender}")
            return
        self._depart(link, sender, payload)
        if conditions.duplicate_chance and self._rng.random() < conditions.duplicate_chance:
            self.trace.tell(receiver, f"gets a frame of {sender} twice")
            self._depart(link, sender, payload)

    def hang_up(self, link: SimLink) -> None:
        """End a link from the side that dialled it, behind what is on its way."""
        last_ms = max(end.last_arrival_ms for end in link.ends.values())
        self._end_later(link, max(self._delay_ms(link), last_ms - self._schedule.now_ms))

    # Faults.

    def block(self, sender: str, receiver: str) -> None:
        """Let nothing arrive in this direction until `unblock`; links starve of it."""
        self.conditions(sender, receiver).is_blocked = True
        for link in self._between(sender, receiver):
            self._schedule.after(HEARTBEAT_TIMEOUT_MS, partial(self._starve, link))

    def unblock(self, sender: str, receiver: str) -> None:
        """Let what waited arrive, and what comes."""
        self.conditions(sender, receiver).is_blocked = False
        for link in self._between(sender, receiver):
            end = link.far_end(sender)
            held, end.held = end.held, []
            for payload in held:
                self._send_on(link, sender, payload)

    def calm(self, sender: str, receiver: str) -> None:
        """End what befalls the frames of this direction one by one; `unblock` it first."""
        old = self._conditions.get((sender, receiver))
        if old is not None:
            self._conditions[sender, receiver] = Conditions(remembered=old.remembered)

    def cut(self, one: str, other: str) -> None:
        """End all links between two nodes, with what is on its way."""
        for link in self._between(one, other):
            self._end(link)

    def replay(self, sender: str, receiver: str) -> bool:
        """Let an earlier frame of this direction come again, over any link that there is.

        Returns:
            Whether there was a link and a frame.
        """
        links = [link for link in self._between(sender, receiver) if link.is_up]
        remembered = self.conditions(sender, receiver).remembered
        if not (links and remembered):
            return False
        self._depart(self._rng.choice(links), sender, self._rng.choice(remembered))
        return True

    # How frames and links fare.

    def _accept(self, link: SimLink) -> None:
        if link.is_ended:
            return
        listener = self._transports.get(link.names[1])
        if listener is None:
            self._end(link, DownReason.CONNECTION_REFUSED)
        elif listener.is_paused:
            # The system accepts for a stopped process, which then shakes no hands.
            self._end_later(link, CONNECT_TIMEOUT_MS, DownReason.HANDSHAKE_FAILED)
        else:
            link.accept(listener)

    def _depart(self, link: SimLink, sender: str, payload: bytes) -> None:
        end = link.far_end(sender)
        end.unread += 1
        dialler, listener = link.names
        if self.conditions(sender, listener if sender == dialler else dialler).is_blocked:
            end.held.append(payload)
            self._schedule.after(HEARTBEAT_TIMEOUT_MS, partial(self._starve, link))
        else:
            self._send_on(link, sender, payload)

    def _send_on(self, link: SimLink, sender: str, payload: bytes) -> None:
        dialler, listener = link.names
        receiver = listener if sender == dialler else dialler
        end = link.far_end(sender)
        now_ms = self._schedule.now_ms
        delay_ms = self._one_way_ms(sender, receiver)
        chance = self.conditions(sender, receiver).reorder_chance
        if chance and self._rng.random() < chance:
            self.trace.tell(receiver, f"gets a frame of {sender} behind later ones")
            late_ms = delay_ms + int(self._rng.random() * REORDER_MAX_MS)
            self._schedule.after(late_ms, partial(link.arrive, sender, payload))
            return
        end.last_arrival_ms = max(now_ms + delay_ms, end.last_arrival_ms)
        self._schedule.after(end.last_arrival_ms - now_ms, partial(link.arrive, sender, payload))

    def _starve(self, link: SimLink) -> None:
        if not link.is_ended and self._is_blocked(link):
            self._end(link)

    def _end_later(
        self, link: SimLink, delay_ms: int, reason: DownReason = DownReason.CONNECTION_CLOSED
    ) -> None:
        self._schedule.after(delay_ms, partial(self._end, link, reason))

    def _end(self, link: SimLink, reason: DownReason = DownReason.CONNECTION_CLOSED) -> None:
        if not link.is_ended:
            self._links.remove(link)
            link.end(reason.value)

    def _between(self, one: str, other: str) -> list[SimLink]:
        return [link for link in self._links if link.joins(one, other)]

    def _is_blocked(self, link: SimLink) -> bool:
        one, other = link.names
        return self.conditions(one, other).is_blocked or self.conditions(other, one).is_blocked

    def _delay_ms(self, link: SimLink) -> int:
        return self._one_way_ms(*link.names)

    def _one_way_ms(self, sender: str, receiver: str) -> int:
        least, greatest = self.conditions(sender, receiver).delay_ms
        return least + int(self._rng.random() * (greatest - least + 1))
