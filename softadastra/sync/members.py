"""The members: every peer that this node knows, and what it has confirmed. Kept in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from softadastra.types import Peer, PeerSource

__all__ = ["Member", "Members", "found_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One peer, as it is remembered over restarts.

    The address is where it was last told to be; a peer that dialled us has none.
    """

    node_id: str
    host: str = ""
    port: int = 0
    source: PeerSource = PeerSource.MANUAL
    accepted: bool = False
    """Whether it was ever greeted. Until then it is an address, and owes nothing."""
    confirmed: int = 0
    """It has this node's own writes up to this number. A cache: its greeting is believed."""
    retries: int = 0
    """Batches that were sent to it again."""
    witnessed: bool = False
    """Whether others said that it is a node of the cluster: it holds back collection too."""
    heard_ms: int = 0
    """The wall clock when it was last heard, by this node or another, give or take an hour; of who
    was never met, when this node began to wait for it. 0: it has not yet."""
    incarnation: int = 0
    """Of its log, when it last greeted; 0: it has not."""

    @property
    def is_met(self) -> bool:
        """Whether it is known to be a node of the cluster, and not only a name."""
        return self.accepted or self.witnessed

    @property
    def is_near(self) -> bool:
        """Whether this node has met it or is to dial it; of others it was only told."""
        return self.accepted or bool(self.host)


def found_at(member: Member, peer: Peer) -> Member:
    """Give a member that has greeted at an address where discovery found it.

    The address is remembered, but never in place of one that people named.
    """
    if member.host and member.source is PeerSource.MANUAL:
        return member
    return replace(member, host=peer.host, port=peer.port, source=PeerSource.MDNS)


class Members:
    """The members by node id, and which of them changed since the log was told."""

    __slots__ = ("_by_id", "_changed", "_forgotten", "forgotten_retries")

    def __init__(self) -> None:
        self._by_id: dict[str, Member] = {}
        self._changed: dict[str, None] = {}
        self._forgotten: set[str] = set()
        self.forgotten_retries = 0
        """The retries of members that were forgotten: a count never falls."""

    def __getitem__(self, node_id: str) -> Member:
        return self._by_id[node_id]

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._by_id

    def __iter__(self) -> Iterator[Member]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def connected(self, node_id: str) -> Member:
        """Give the member that is connected; one that was forgotten meanwhile is new."""
        known = self._by_id.get(node_id)
        return known or Member(node_id=node_id, source=PeerSource.INBOUND, accepted=True)

    def get(self, node_id: str) -> Member | None:
        """Give a member, None when it is not known."""
        return self._by_id.get(node_id)

    def is_forgotten(self, node_id: str) -> bool:
        """Whether it was struck off, and has not been here since."""
        return node_id in self._forgotten

    @property
    def forgotten(self) -> frozenset[str]:
        """Who was struck off, and has not been here since."""
        return frozenset(self._forgotten)

    def register(self, peer: Peer, source: PeerSource) -> None:
        """Note where a peer is."""
        known = self._by_id.get(peer.node_id) or Member(node_id=peer.node_id)
        self._forgotten.discard(peer.node_id)
        self._by_id[peer.node_id] = replace(known, host=peer.host, port=peer.port, source=source)

    def restore(self, member: Member) -> None:
        """Take a member from a durable record."""
        self._forgotten.discard(member.node_id)
        self._by_id[member.node_id] = member

    def change(self, member: Member) -> None:
        """Change a member now, and in the log when there is time: losing that costs little."""
        self._forgotten.discard(member.node_id)
        self._by_id[member.node_id] = member
        self._changed[member.node_id] = None

    def forget(self, node_id: str) -> None:
        """Strike a member off."""
        member = self._by_id.pop(node_id, None)
        self._changed.pop(node_id, None)
        self._forgotten.add(node_id)
        self.forgotten_retries += member.retries if member else 0

    @property
    def changed(self) -> list[Member]:
        """The members that the log is to be told of."""
        return [self._by_id[node_id] for node_id in self._changed]

    def told(self) -> None:
        """Note that the log was told of all changes."""
        self._changed.clear()
