"""Turns what people write as an address into numeric ones, without blocking the reactor.

libzmq would resolve names itself, but in the one I/O thread that serves all links of a
node, and `getaddrinfo` can take many seconds, in which no frame would move on any of them.
So libzmq is only ever given numeric addresses, and a name is looked up in a thread of its
own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

__all__ = ["Address", "Answer", "NameResolver", "numeric_address", "plain_host", "resolve"]


@dataclass(frozen=True, slots=True)
class Address:
    """A numeric IP address and a TCP port."""

    family: socket.AddressFamily
    host: str
    """Without brackets; an IPv6 address may end in its interface's number, as "fe80::1%2"."""
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether a socket needs IPv6 for it."""
        return self.family == socket.AF_INET6

    @property
    def endpoint(self) -> str:
        """The address as ZeroMQ writes it."""
        return f"tcp://{self}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


class Answer(NamedTuple):
    """What a look-up found, in the order in which to try it; nothing when it found nothing."""

    host: str
    port: int
    addresses: tuple[Address, ...]


def resolve(host: str, port: int, flags: int = 0) -> tuple[Address, ...]:
    """Look up a host, numeric or by name; blocks for a name.

    Args:
        host: an address, with or without brackets, or a name.
        port: 0 to 65535.
        flags: of `getaddrinfo`.

    Returns:
        The addresses in the system's order of preference (RFC 6724); none when the host is
        unknown, or is no host at all.
    """
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, ValueError):  # unknown; or not encodable as a name, or a NUL in it
        return ()
    return tuple(Address(family, _numeric(place), port) for family, _, _, _, place in found)


def numeric_address(host: str, port: int) -> Address | None:
    """Read a host that is an address already; None for a name. Never blocks."""
    return next(iter(resolve(host, port, socket.AI_NUMERICHOST)), None)


def plain_host(host: str) -> str:
    """Give an IPv4 address as such, also where the system writes it as an IPv6 one.

    On a socket of both kinds it does (RFC 4291, section 2.5.5.2), as "::ffff:192.0.2.7".
    """
    return host.removeprefix("::ffff:") if "." in host else host


def _numeric(place: Sequence[object]) -> str:
    """Write the host of a socket address; a link-local one (RFC 4007) with its interface."""
    host, scope = place[0], place[3] if len(place) > 3 else 0
    return f"{host}%{scope}" if scope else str(host)


class NameResolver:
    """Looks up names, one thread for each name in flight.

    Asking for a name that is in flight joins that look-up, so there are never more threads
    than distinct names. The threads are daemons: nothing can interrupt `getaddrinfo`, and
    nobody shall wait for it. An answer that came too late is there for the next who asks.

    Args:
        answered: called from a look-up's thread when there is something in `answers()`.
    """

    __slots__ = ("_answered", "_answers", "_asked", "_late")

    def __init__(self, answered: Callable[[], None]) -> None:
        self._answered = answered
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._asked: set[tuple[str, int]] = set()
        self._late: dict[tuple[str, int], Answer] = {}

    def ask(self, host: str, port: int) -> None:
        """Begin a look-up; its answer comes in `answers()`."""
        if (host, port) in self._asked:
            return
        self._asked.add((host, port))
        late = self._late.pop((host, port), None)
        if late is not None:
            self._answers.put(late)
            self._answered()
            return
        Thread(
            target=self._look_up, args=(host, port), name=f"softadastra-resolve-{host}", daemon=True
        ).start()

    def answers(self) -> Iterator[Answer]:
        """Take the look-ups that have ended. From the thread that asks."""
        while self._asked:
            try:
                answer = self._answers.get_nowait()
            except Empty:
                return
            self._asked.discard((answer.host, answer.port))
            yield answer

    def keep(self, answer: Answer) -> None:
        """Keep an answer that nobody waits for any more. From the thread that asks."""
        if answer.addresses:
            self._late[answer.host, answer.port] = answer

    def _look_up(self, host: str, port: int) -> None:
        self._answers.put(Answer(host, port, resolve(host, port)))
        self._answered()
