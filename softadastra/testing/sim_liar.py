"""A member of a simulated cluster that speaks the protocol and says what it likes.

It greets, answers whether it is there, remembers what it is told, and beyond that says nothing by
itself: tests put the lies into its mouth. What it says is well-formed; for bytes that are no
message there is `SimLiar.utter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from softadastra.errors import InvalidStateError
from softadastra.node_settings import policies_of
from softadastra.sync.messages import PROTOCOL, Hello, Message, Ping, Pong
from softadastra.sync.wire import decode, encode
from softadastra.testing.sim_network import PORT, SimNetwork
from softadastra.testing.sim_schedule import Schedule
from softadastra.transport.links import Link, LinkDown, LinkUp, Received, SendResult

if TYPE_CHECKING:
    from softadastra.testing.sim_node import SimNode

__all__ = ["SimLiar"]

Answer = Callable[[str, Message], Iterable[Message]]
"""Gives what to say to a node that has said something."""


class SimLiar:
    """A liar of a `SimCluster`, which makes it. Not thread-safe.

    Args:
        node_id: what it calls itself, unless a greeting says otherwise; its host, too.
        network: what it is attached to.
        schedule: the world's time.
        like: a node of the cluster, whose settings its greeting shows.
    """

    def __init__(
        self, node_id: str, *, network: SimNetwork, schedule: Schedule, like: SimNode
    ) -> None:
        self.node_id = node_id
        self.heard: list[tuple[str, Message]] = []
        """What it was told, and by whom."""
        self.answer: Answer = answer_pings
        self.greeting = Hello(
            protocols=(PROTOCOL, PROTOCOL),
            features=frozenset(),
            cluster=like.options.cluster,
            node_id=node_id,
            incarnation=1,
            nonce=1,
            wall_ms=like.clock.now().wall_ms,
            policies=policies_of(like.options).names,
            have={},
            named={},
            lives={},
            digest=bytes(16),
            credit=8,
            neighbours=frozenset(),
            resume=None,
            number=0,
        )
        """What it says first on each connection."""
        self.is_silent = False
        """Whether it says nothing first."""
        self._links: dict[str, Link] = {}
        self._names: dict[Link, str] = {}
        self._schedule = schedule
        self._is_turn_due = False
        self._transport = network.attach(node_id, self._wake)

    def meet(self, node: SimNode, **lies: object) -> None:
        """Dial a node and greet it as soon as the connection is up; the former one is closed.

        Args:
            node: whom.
            lies: fields of the greeting that differ from `greeting`, now and later.
        """
        self.greeting = replace(self.greeting, **lies)  # type: ignore[arg-type]  # as named
        former = self._links.pop(node.node_id, None)
        if former is not None:
            del self._names[former]
            self._transport.drop(former)
        link = self._transport.dial(node.node_id, PORT)
        self._links[node.node_id], self._names[link] = link, node.node_id

    def say(self, node: SimNode, *messages: Message) -> int:
        """Say something to a node over the last connection with it that is there.

        Returns:
            How many of the messages the connection took; the others are lost.
        """
        return sum(self.utter(node, encode(message)) for message in messages)

    def utter(self, node: SimNode, payload: bytes) -> bool:
        """Send a frame of any bytes; give whether the connection took it."""
        link = self._links.get(node.node_id)
        if link is None:
            raise InvalidStateError(f"{self.node_id} has not met {node.node_id}: meet it first")
        return self._transport.send(link, payload) is SendResult.SENT

    def is_connected(self, node: SimNode) -> bool:
        """Whether a connection with a node is there."""
        return node.node_id in self._links

    def told(self, node: SimNode, kind: type[Message]) -> list[Message]:
        """Give the messages of one kind that a node has sent it."""
        return [m for name, m in self.heard if name == node.node_id and isinstance(m, kind)]

    def _wake(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            self._schedule.after(0, self._turn)

    def _turn(self) -> None:
        self._is_turn_due = False
        for event in self._transport.poll(0):
            match event:
                case LinkUp(link, dialled, address):
                    if not dialled:
                        self._links[address], self._names[link] = link, address
                    if not self.is_silent:
                        self._transport.send(link, encode(self.greeting))
                case Received(link, payload):
                    name, message = self._names[link], decode(payload)
                    self.heard.append((name, message))
                    for said in self.answer(name, message):
                        self._transport.send(link, encode(said))
                case LinkDown(link, _):
                    name = self._names.pop(link)
                    if self._links.get(name) == link:
                        del self._links[name]
                        # Of two connections a node closes one: the other one goes on.
                        self._links.update(
                            (name, other) for other, of in self._names.items() if of == name
                        )
                case _:
                    pass


def answer_pings(_node_id: str, message: Message) -> Iterable[Message]:
    """Say no more than that it is there."""
    return [Pong(message.sent_ms)] if isinstance(message, Ping) else []
