"""A switch in user space, that loses, delays, doubles and reorders what goes from host to host.

Kernels can do that (tc-netem(8)), where they were built with it. This one takes the place of the
bridge of a network: a thread that reads Ethernet frames at each port, draws what happens to each of
them, and sends it on when its time has come. TCP sees what it sees on a bad radio link.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from threading import Thread
from typing import Final, NamedTuple

from tests.network.namespaces import ETHERNET, Network
from tests.network.packets import FRAME_BYTES_MAX, leave_checksums_to_software, packet_socket

__all__ = ["Counts", "Faults", "LossySwitch", "lossy_switch"]

FRAMES_PER_TURN: Final = 64
"""Read at one port before others have their turn."""

MAC_BYTES: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What happens to each frame, drawn by itself, to ARP and multicast as well."""

    loss: float = 0.0
    """The part that is lost, from 0 to 1."""
    doubling: float = 0.0
    """The part of which a second copy goes out, with a delay of its own."""
    delay_ms: tuple[int, int] = (0, 0)
    """The least and the most; evenly between them, so that frames overtake each other."""


@dataclass(slots=True)
class Counts:
    """What has happened to frames."""

    carried: int = 0
    lost: int = 0
    doubled: int = 0
    overtaken: int = 0
    """Left later than one that came later, for the same port from the same port."""


class _Waiting(NamedTuple):
    """A frame on its way; the order of these is the order in which they leave."""

    due: float
    number: int
    source: int
    target: int
    frame: bytes


class LossySwitch:
    """The switch; made by `lossy_switch`.

    Args:
        ports: a packet socket at each port.
        faults: what happens to frames; may be changed at any time.
        chance: draws it.
    """

    def __init__(self, ports: list[socket.socket], faults: Faults, chance: Random) -> None:
        self.faults = faults
        self.counts = Counts()
        self._ports = ports
        self._chance = chance
        self._places: dict[bytes, int] = {}
        """MAC address -> the port where it was last seen as the source of a frame."""
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._last_sent: dict[tuple[int, int], int] = {}
        self._waker, self._woken = socket.socketpair()
        self._thread = Thread(target=self._run, name="switch", daemon=True)

    def start(self) -> None:
        """Begin to carry frames."""
        self._thread.start()

    def stop(self) -> None:
        """Carry nothing more. What is on its way is lost."""
        self._waker.close()
        self._thread.join()
        self._woken.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for number, port in enumerate(self._ports):
                selector.register(port, selectors.EVENT_READ, number)
            while True:
                wait = self._waiting[0].due - time.monotonic() if self._waiting else None
                for key, _ in selector.select(wait if wait is None else max(wait, 0.0)):
                    if key.fileobj is self._woken:
                        return
                    self._take(key.data)
                self._send_due()

    def _take(self, source: int) -> None:
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = self._ports[source].recv(FRAME_BYTES_MAX)
            except BlockingIOError:
                return
            self._places[frame[MAC_BYTES : 2 * MAC_BYTES]] = source
            place = self._places.get(frame[:MAC_BYTES])
            targets = range(len(self._ports)) if place is None else [place]
            for target in targets:
                if target != source:
                    self._judge(source, target, frame)

    def _judge(self, source: int, target: int, frame: bytes) -> None:
        """Draw what happens to a frame."""
        faults = self.faults
        if self._chance.random() < faults.loss:
            self.counts.lost += 1
            return
        copies = 1
        if self._chance.random() < faults.doubling:
            self.counts.doubled += 1
            copies = 2
        number = next(self._numbers)
        least, most = faults.delay_ms
        for _ in range(copies):
            due = time.monotonic() + self._chance.uniform(least, most) / 1000
            heapq.heappush(self._waiting, _Waiting(due, number, source, target, frame))

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0].due <= now:
            _, number, source, target, frame = heapq.heappop(self._waiting)
            self._ports[target].send(frame)
            self.counts.carried += 1
            last = self._last_sent.get((source, target), -1)
            if number < last:
                self.counts.overtaken += 1
            self._last_sent[source, target] = max(number, last)


@contextmanager
def lossy_switch(network: Network, seed: str, faults: Faults) -> Iterator[LossySwitch]:
    """Put such a switch in the place of a network's bridge; afterwards the bridge is back.

    Args:
        network: all of its hosts are there already.
        seed: of what is drawn.
        faults: what happens to frames at first.
    """
    for host in network.hosts:
        leave_checksums_to_software(host.namespace, ETHERNET)
        network.leave(host)
    ports = [packet_socket(network.switch, host.port) for host in network.hosts]
    switch = LossySwitch(ports, faults, Random(seed))
    switch.start()
    try:
        yield switch
    finally:
        switch.stop()
        for port in ports:
            port.close()
        for host in network.hosts:
            network.join(host)
