"""The port of discovery: what it tells, and to whom.

Everything told here is hearsay. It is for addresses to try, and for people to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

__all__ = ["Change", "Clashed", "Found", "Gone", "Observer", "TurnedAway"]


@dataclass(frozen=True, slots=True)
class Found:
    """A peer was found, or has other addresses, or announces itself once more."""

    node_id: str
    addresses: tuple[tuple[str, int], ...]
    """Hosts, all numeric, and ports; best first, at least one."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Nobody says any more where this peer is. It may be well."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Clashed:
    """Somebody else on the network announces this node's own name."""

    addresses: tuple[str, ...]
    """Where he is, as far as it is known; or the name of his host."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """So many names found no room since the last time."""

    count: int


Change: TypeAlias = Found | Gone | Clashed | TurnedAway


class Observer(Protocol):
    """Whoever is told: called in the thread of discovery, and may neither raise nor wait."""

    def changed(self, change: Change) -> None:
        """Somebody was found, or the like."""

    def announced(self, name: str, addresses: Sequence[str]) -> None:
        """The node is announced under this name, with these addresses."""

    def failed(self, error: str) -> None:
        """Something did not work that should; it is tried again."""

    def is_met(self, node_id: str) -> bool:
        """Whether a node of this id was ever connected to this one."""
