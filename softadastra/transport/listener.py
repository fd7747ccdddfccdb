"""The side of a node that others dial: one ROUTER, bound to one address.

An inbound link is a routing id that this ROUTER made up for a connection. It comes up with
the first message, because before that nobody knows of it, and answers go out on the same
routing id. libzmq drops the id when the connection ends and tells nobody; a mandatory
ROUTER refuses the next send instead.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import zmq

from softadastra.errors import TransportError
from softadastra.transport.addresses import Address, plain_host, resolve
from softadastra.transport.callers import Caller, Callers
from softadastra.transport.curve import OVERHEAD_BYTES, serve
from softadastra.transport.guard import NOBODY, REVOKED, Guard
from softadastra.transport.intake import Intake
from softadastra.transport.links import (
    DownReason,
    Link,
    LinkDown,
    LinkUp,
    Refused,
    SendResult,
    TransportEvent,
)
from softadastra.transport.sockets import (
    Context,
    Socket,
    is_readable,
    open_socket,
    read_payload,
    skip_rest,
)

__all__ = ["Listener"]

ENDED_ROUTES_MAX = 1_024
"""Routing ids of ended links that are remembered, least recently heard first out.

An ended link's peer may go on sending, and must not come up as a new link. 64 peers can be
connected; the rest is for those that were turned away and have not hung up.
"""

_ROUTE_FLAGS = zmq.NOBLOCK | zmq.SNDMORE

_ADVICE = {
    errno.EADDRINUSE: (
        "address in use",
        "stop the process or node that listens there, or choose another port (0 picks one)",
    ),
    errno.EADDRNOTAVAIL: (
        "address not available",
        "use an address of this machine: 127.0.0.1, or 0.0.0.0 for all of its interfaces",
    ),
    errno.EACCES: ("permission denied", "choose a port above 1023"),
}


@dataclass(slots=True)
class _Inbound:
    """A link that is up."""

    route: bytes
    node_id: str
    """Whose key it has proved to have; `NOBODY` without security."""
    caller: Caller | None
    """Its connection, to cut it by; None while it is not sure which one that is."""


class Listener:
    """The inbound links of a node; made by `open`."""

    __slots__ = (
        "_ended",
        "_guard",
        "_inbound",
        "_links",
        "_next_link",
        "_taken",
        "address",
        "callers",
        "socket",
    )

    def __init__(
        self,
        bound: Socket,
        address: Address,
        callers: Callers,
        next_link: Callable[[], Link],
        guard: Guard | None,
    ) -> None:
        self.socket = bound
        self.address = address
        """Where it listens, with the port that is bound."""
        self.callers = callers
        """The connections that came in."""
        self._next_link = next_link
        self._guard = guard
        self._taken = 0
        """Messages since `went_round`."""
        self._inbound: dict[Link, _Inbound] = {}
        self._links: dict[bytes, Link] = {}
        self._ended: dict[bytes, Caller | None] = {}
        """Routing ids of links that are over, and their connections, as far as these are known."""

    @classmethod
    def open(
        cls,
        context: Context,
        host: str,
        port: int,
        *,
        next_link: Callable[[], Link],
        guard: Guard | None,
    ) -> Listener:
        """Listen for others.

        Args:
            context: the node's ZeroMQ context.
            host: see `Transport.bind`.
            port: see `Transport.bind`.
            next_link: gives a number that no link has had.
            guard: keeps strangers out; None: without security.

        Raises:
            TransportError: see `Transport.bind`.
        """
        found = resolve(host, port, socket.AI_PASSIVE)
        if not found:
            raise TransportError(
                f"cannot listen on {host}:{port}: name not resolved; "
                "use an address of this machine, as 127.0.0.1",
                host=host,
                port=port,
            )
        # A name like "localhost" has both kinds: most peers dial IPv4.
        address = min(found, key=lambda address: address.is_ipv6)
        try:
            bound, callers = _open_router(context, address, guard)
        except zmq.ZMQError as error:
            raise _cannot_listen(address, error) from error
        endpoint = bound.getsockopt_string(zmq.LAST_ENDPOINT)
        address = replace(address, port=int(endpoint.rpartition(":")[2]))
        return cls(bound, address, callers, next_link, guard)

    def __contains__(self, link: Link) -> bool:
        return link in self._inbound

    @property
    def port(self) -> int:
        """The port that is bound."""
        return self.address.port

    @property
    def share(self) -> int:
        """How many links take turns here; libzmq lets them take turns among themselves."""
        return max(1, len(self._inbound))

    def follow(self, now_ms: int) -> None:
        """Take in who has connected and who has gone."""
        self.callers.follow(self.port, now_ms)

    def intakes(self) -> dict[Intake, Link | None]:
        """Give what comes over each connection, and of which link that is, if of any."""
        intakes: dict[Intake, Link | None] = dict.fromkeys(self.callers.intakes())
        for link, inbound in self._inbound.items():
            if inbound.caller is not None and inbound.caller.intake in intakes:
                intakes[inbound.caller.intake] = link
        return intakes

    def went_round(self) -> bool:
        """Whether each connection that has a whole message has had a turn since this was last so.

        libzmq lets them take turns. So this comes about also while others always have more to
        give; the number is doubled for those that libzmq knows and are not counted yet.
        """
        if self._taken <= 2 * len(self.callers):
            return False
        self._taken = 0
        return True

    def receive(self, now_ms: int) -> tuple[TransportEvent, ...]:
        """Take the next message.

        Args:
            now_ms: the monotonic time.

        Returns:
            What it means; nothing when it came on a link that has ended here.

        Raises:
            zmq.Again: there is no message.
        """
        route = self.socket.recv(zmq.NOBLOCK)
        frame = self.socket.recv(zmq.NOBLOCK, copy=False)
        self._taken += 1
        link = self._links.get(route)
        if link is not None:
            inbound = self._inbound[link]
            if inbound.caller is None:
                inbound.caller = self.callers.of(frame, self.port, now_ms)
            else:
                inbound.caller.intake.heard(len(frame))
            if self._guard is not None and not self._is_of(link, frame):
                skip_rest(self.socket, frame)
                self.cut(link)
                return (LinkDown(link, REVOKED),)
            return (read_payload(self.socket, frame, link),)
        if route in self._ended:
            skip_rest(self.socket, frame)
            self._overhear(route, frame, now_ms)
            return ()
        return self._receive_first(route, frame, now_ms)

    def has_more(self) -> bool:
        """Whether there is another message: asked in a quarter of the time of `zmq.Again`."""
        return is_readable(self.socket)

    def send(self, link: Link, payload: bytes) -> SendResult:
        """Hand a frame to libzmq; ends the link when its connection is gone."""
        try:
            self.socket.send(self._inbound[link].route, _ROUTE_FLAGS)
            self.socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return SendResult.FULL
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._forget(link)
            return SendResult.GONE
        return SendResult.SENT

    def drop(self, link: Link, now_ms: int) -> None:
        """Forget a link, do not listen to it any more, and end its connection soon."""
        if self._guard is not None:
            self._guard.ended(self._inbound[link].node_id, now_ms)
        caller = self._forget(link)
        if caller is not None:
            self.callers.leave(caller, now_ms)

    def of_nodes(self, node_ids: Collection[str]) -> list[Link]:
        """Give the links of some nodes, as they have proved to be."""
        return [link for link, inbound in self._inbound.items() if inbound.node_id in node_ids]

    def cut(self, link: Link) -> None:
        """Drop a link and end its connection, whatever its peer wants."""
        caller = self._forget(link)
        if caller is not None:
            caller.connection.sever()

    def close(self) -> None:
        """Stop listening, and cut all connections."""
        self.callers.close()
        self.socket.close()

    def _forget(self, link: Link) -> Caller | None:
        """Remember not to listen to a link; give its connection."""
        inbound = self._inbound.pop(link)
        del self._links[inbound.route]
        self._ignore(inbound.route, inbound.caller)
        return inbound.caller

    def _receive_first(
        self, route: bytes, frame: zmq.Frame, now_ms: int
    ) -> tuple[TransportEvent, ...]:
        """Let a link come up with its first message, unless that shows what it is not."""
        link = self._next_link()
        address = _peer_address(frame)
        node_id = NOBODY if self._guard is None else self._guard.node_of(frame)
        came_up = LinkUp(link, dialled=False, address=address, node_id=node_id)
        fault = _fault(route, address)
        caller = self.callers.of(frame, self.port, now_ms)
        if not fault and self._guard is not None and node_id == NOBODY:
            fault = "a peer whose key is not trusted"
        if fault:
            skip_rest(self.socket, frame)
            self._ignore(route, caller)
            if caller is not None:
                caller.connection.sever()
            return came_up, Refused(link, fault), LinkDown(link, DownReason.TURNED_AWAY.value)
        self._links[route] = link
        self._inbound[link] = _Inbound(route, node_id, caller)
        return came_up, read_payload(self.socket, frame, link)

    def _is_of(self, link: Link, frame: zmq.Frame) -> bool:
        """Whether a message comes from the node that the link is of, and that one is let in."""
        assert self._guard is not None
        return self._guard.node_of(frame) == self._inbound[link].node_id

    def _overhear(self, route: bytes, frame: zmq.Frame, now_ms: int) -> None:
        """Account for a message that is thrown away; end its connection, if it is known only now.

        Not asked for anew when it is known: the descriptor may be another one's by now.
        """
        caller = self._ended.pop(route)
        if caller is not None:
            caller.intake.heard(len(frame))
        else:
            caller = self.callers.of(frame, self.port, now_ms)
            if caller is not None:
                self.callers.leave(caller, now_ms)
        self._ended[route] = caller

    def _ignore(self, route: bytes, caller: Caller | None) -> None:
        self._ended[route] = caller
        if len(self._ended) > ENDED_ROUTES_MAX:
            del self._ended[next(iter(self._ended))]


def _peer_address(frame: zmq.Frame) -> str:
    """Read where a message came from; empty when the connection does not say."""
    try:
        return plain_host(str(frame.get("Peer-Address")))
    except zmq.ZMQError as error:
        if error.errno != errno.EINVAL:
            raise
        return ""


def _fault(route: bytes, address: str) -> str:
    """Say why a peer cannot be a node; empty when it can."""
    if not address:
        # Old versions have no metadata. Whatever else is sent to the port passes for ZMTP 1,
        # as a web request does.
        return "a peer that does not speak ZMTP 3"
    if len(route) != 5 or route[0] != 0:
        # Not made up by the ROUTER: a zero byte, then 32 bits (libzmq src/router.cpp). The
        # peer's next connection may claim it too, and would pass for the same link.
        return "a peer that chose its own routing id"
    return ""


def _open_router(context: Context, address: Address, guard: Guard | None) -> tuple[Socket, Callers]:
    # The ids that a ROUTER makes up count on from a rand() that libzmq never seeds
    # (zeromq/libzmq#4633): they were the same in every process. A peer that claims the one
    # to come as its own routing id aborts this process when libzmq gets there ("Assertion
    # failed: ok (src/socket_base.cpp)").
    ctypes.CDLL(None).srand(secrets.randbits(32))
    overhead_bytes = 0 if guard is None else OVERHEAD_BYTES
    router = open_socket(context, zmq.ROUTER, ipv6=address.is_ipv6, overhead_bytes=overhead_bytes)
    try:
        if guard is not None:
            serve(router, guard.own)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        callers = Callers(context, router, is_guarded=guard is not None)
    except zmq.ZMQError:
        router.close()
        raise
    try:
        router.bind(address.endpoint)
    except zmq.ZMQError:
        callers.close()
        router.close()
        raise
    return router, callers


def _cannot_listen(address: Address, error: zmq.ZMQError) -> TransportError:
    number = error.errno or 0
    problem, advice = _ADVICE.get(number, (os.strerror(number).lower(), "choose another address"))
    return TransportError(
        f"cannot listen on {address}: {problem}; {advice}", host=address.host, port=address.port
    )
