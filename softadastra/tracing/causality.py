"""What happened before what, by Lamport's rule, and never by a clock.

An event happened before another one when it stands above it in the log of one node, or when it
sent what the other one took, or by a chain of these. Each point gets a number that is higher than
those of all that happened before it (L. Lamport, Time, Clocks, and the Ordering of Events in a
Distributed System, 1978). A line that is missing takes away what was known by it, and makes
nothing wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from softadastra.tracing.logs import Message, Point

__all__ = ["Delivery", "Order", "order"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message whose two ends were both logged."""

    message: Message
    sender: tuple[str, int]
    """The node, and the place among its points."""
    receiver: tuple[str, int]


@dataclass(slots=True)
class Order:
    """The points of all nodes, in an order that keeps to what happened before what."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    """Node id -> Lamport's number of each of its points."""
    deliveries: list[Delivery] = field(default_factory=list)
    contradictions: list[Delivery] = field(default_factory=list)
    """Messages that would have come before they were sent: the logs are not what they seem."""


def order(points: Mapping[str, Sequence[Point]]) -> Order:
    """Number all points. Takes time in proportion to their number."""
    return _Ordering(points).run()


class _Ordering:
    def __init__(self, points: Mapping[str, Sequence[Point]]) -> None:
        self.points = points
        self.order = Order(numbers={node_id: [] for node_id in points})
        self.senders: dict[Message, tuple[str, int]] = {}
        for node_id, line in points.items():
            for place, point in enumerate(line):
                if point.sends is not None:
                    self.senders.setdefault(point.sends, (node_id, place))
        self.waiting: defaultdict[tuple[str, int], list[str]] = defaultdict(list)

    def run(self) -> Order:
        ready = sorted(self.points, reverse=True)
        while True:
            while ready:
                ready += self.advance(ready.pop())
            stuck = [n for n in sorted(self.points) if self.place(n) < len(self.points[n])]
            if not stuck:
                return self.order
            self.waiting.clear()
            self.force(stuck[0])
            ready = stuck[::-1]

    def place(self, node_id: str) -> int:
        return len(self.order.numbers[node_id])

    def sender_of(self, node_id: str, message: Message) -> tuple[str, int] | None:
        """Give who sent a message; None: that was not logged, or it says nothing."""
        sender = self.senders.get(message)
        return None if sender is None or sender[0] == node_id else sender

    def is_passed(self, sender: tuple[str, int]) -> bool:
        return sender[1] < self.place(sender[0])

    def advance(self, node_id: str) -> list[str]:
        """Number a node's points as far as that goes; give who waited for one of them."""
        woken: list[str] = []
        line = self.points[node_id]
        while (place := self.place(node_id)) < len(line):
            for message in line[place].takes:
                sender = self.sender_of(node_id, message)
                if sender is not None and not self.is_passed(sender):
                    self.waiting[sender].append(node_id)
                    return woken
            self.number(node_id, line[place])
            woken += self.waiting.pop((node_id, place), ())
        return woken

    def number(self, node_id: str, point: Point) -> None:
        numbers = self.order.numbers[node_id]
        highest = numbers[-1] if numbers else 0
        for message in point.takes:
            sender = self.sender_of(node_id, message)
            if sender is not None:
                delivery = Delivery(message, sender, (node_id, len(numbers)))
                if self.is_passed(sender):
                    highest = max(highest, self.order.numbers[sender[0]][sender[1]])
                    self.order.deliveries.append(delivery)
                else:
                    self.order.contradictions.append(delivery)
        numbers.append(highest + 1)

    def force(self, node_id: str) -> None:
        """Number a point whose messages were not sent before: all nodes wait for each other."""
        self.number(node_id, self.points[node_id][self.place(node_id)])
