"""Who this node and its peers are, when logs are copied, restored or wiped.

A node that was restored learns of it from a peer that has more of its writes than it knows, or
others under the same numbers. It takes a new incarnation; what it has written since goes on under
that one, and what it had lost comes back as a stranger's. `histories.py` finds it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from softadastra.store.changes import OWN
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.splitting import Split
from softadastra.sync.histories import Finding, examine, examine_batch, reach_told
from softadastra.sync.members import Member
from softadastra.sync.messages import Batch, Haves, Hello, Lives, Named
from softadastra.sync.notices import Level, Notices
from softadastra.sync.session import Session
from softadastra.sync.settings import Now

__all__ = ["Identity", "incarnation_of"]

EMPTY_SPLITS_MAX: Final = 8
"""How often a node takes a new incarnation on a peer's word alone that it has lost writes. A
restored node does so once; a peer that says so again and again is mistaken, or lies."""


MASK_64: Final = 2**64 - 1


class Identity:
    """What this node finds out about histories that have parted.

    Args:
        replica: what this node has.
        notices: where to tell it.
        nonce: 64 random bits, drawn when the node opens.
    """

    def __init__(self, replica: Replica, notices: Notices, nonce: int) -> None:
        self._replica = replica
        self._notices = notices
        self._nonce = nonce
        self._due: Split | None = None
        self._empty_splits = 0

    def compare(self, session: Session, have: Haves, named: Named, lives: Lives, now: Now) -> None:
        """Compare a peer's histories with ours, and let no data go over while they have parted."""
        session.lives_told = self._replica.origins.numbered(lives)
        tops = reach_told(have, named)
        finding = examine(self._replica, tops, lives, self._fresh)
        if finding is None:
            session.parted_ms = None
        else:
            self._part(session, finding, now)
            if finding.split is not None:
                self._plan(session, finding, tops)

    def has_parted(self, session: Session, batch: Batch, tops: Sequence[int], now: Now) -> bool:
        """Whether the writes of a batch do not continue ours: it is not taken then."""
        finding = examine_batch(self._replica, batch, tops)
        if finding is not None:
            self._part(session, finding, now)
        return finding is not None

    @property
    def _fresh(self) -> int:
        """An incarnation that nobody has had."""
        return (self._nonce + 1 + self._empty_splits) & MASK_64

    def take_split(self) -> Split | None:
        """Give what is to be split off now, once."""
        due, self._due = self._due, None
        return due

    def _part(self, session: Session, finding: Finding, now: Now) -> None:
        if session.parted_ms is None:
            session.parted_ms = now.mono_ms
            facts = {"peer": session.peer_id, "origin": finding.origin.node_id}
            self._notices.note(Level.WARNING, "history.parted", **facts)
            # The peer needs to know our lives to find out what it is to do.
            session.tell_have_by(0)

    def _plan(self, session: Session, finding: Finding, tops: Mapping[Origin, int]) -> None:
        split = finding.split
        assert split is not None
        top = self._replica.reach(self._replica.origins.number(split.origin))
        moved = top - split.after
        lost = tops[split.origin] - split.after if finding.is_lost else 0
        if not moved:
            self._empty_splits += 1
            if self._empty_splits > EMPTY_SPLITS_MAX:
                return
        self._due = split
        if self._replica.origins.number(split.origin) == OWN:
            facts = {"peer": session.peer_id, "moved": moved, "lost": lost}
            self._notices.note(Level.WARNING, "identity.renewed", reason="restored", **facts)
        else:
            facts = {"origin": split.origin.node_id, "moved": moved}
            self._notices.note(Level.WARNING, "history.renamed", **facts)


def incarnation_of(hello: Hello, member: Member, notices: Notices) -> Member:
    """Note the log of a peer that greets, and tell when it has another one than before."""
    if member.incarnation not in (0, hello.incarnation):
        notices.note(Level.INFO, "peer.renewed", peer=hello.node_id)
    return replace(member, incarnation=hello.incarnation)
