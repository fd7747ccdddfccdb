"""Who is in the cluster, as far as this node knows, and who holds back collection.

A node hears of others from those whom it meets. Who was never met holds back collection all the
same: what it writes, not knowing of a remove, may be on its way here.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Final

from softadastra.store.changes import OWN, Collected
from softadastra.store.dots import DotSet
from softadastra.store.replica import Replica
from softadastra.sync.collection import Collector, collectable
from softadastra.sync.fields import AGE_MS_MAX, MEMBERS_MAX, is_obeyed
from softadastra.sync.members import Member, Members
from softadastra.sync.messages import Haves, Report
from softadastra.sync.settings import Now

__all__ = ["Membership"]

COLLECT_INTERVAL_MS: Final = 30_000
"""How often to look what may be collected: as often as peers tell what they have."""
REPORTS_BYTES_MAX: Final = 1 << 19
"""Of the 1.25 MiB of a message; what the sender itself has is in it too."""
HEARD_STEP_MS: Final = 3_600_000
"""How much later a member has to be heard for the log to be told: an hour of thirty days."""


class Membership:
    """The members, when they were heard, and what they have.

    Args:
        replica: what this node has.
        members: as the log keeps them.
        max_offline_ms: how long a silent member holds back collection.
    """

    def __init__(self, replica: Replica, members: Members, *, max_offline_ms: int) -> None:
        self.heard: dict[str, Now] = {}
        """When each peer was last heard in this life."""
        self._reported: dict[str, Now] = {}
        """When others have heard those of whom they told."""
        self.collect_ms = 0
        """When to look next what may be collected."""
        self.collector = Collector()
        self._replica = replica
        self._members = members
        self._max_offline_ms = max_offline_ms

    def heard_ms(self, member: Member) -> int:
        """Give the wall clock when a member was last heard, by this node or another.

        Of who was never met: since when it is waited for.
        """
        times = self._times(member.node_id)
        return max(member.heard_ms, *(time.wall_ms for time in times)) if times else member.heard_ms

    def _times(self, node_id: str) -> list[Now]:
        """Give when a member was last heard in this life, by this node and by others."""
        return [told[node_id] for told in (self.heard, self._reported) if node_id in told]

    def is_suspended(self, member: Member, wall_ms: int) -> bool:
        """Whether a member was away for so long that it holds back collection no more."""
        return wall_ms - self.heard_ms(member) > self._max_offline_ms

    def holds_back(self, member: Member, wall_ms: int) -> bool:
        """Whether nothing is collected before this member has it."""
        return member.is_met and not self.is_suspended(member, wall_ms)

    def hear_of(self, reports: Mapping[str, Report], present: Container[str], now: Now) -> None:
        """Take what a peer says of others.

        Args:
            reports: by node id.
            present: who is connected to this node, and speaks for itself.
            now: the time.
        """
        for node_id, report in reports.items():
            is_here = node_id in present or node_id == self._replica.node_id
            # By a name that terminals obey nobody can greet: it would be waited for in vain.
            if is_here or self._members.is_forgotten(node_id) or is_obeyed(node_id):
                continue
            known_member = self._members.get(node_id)
            if known_member is None and len(self._members) >= MEMBERS_MAX:
                # Names cost a liar nothing, and more of them than a message may hold would make
                # what this node passes on refused by honest peers.
                continue
            member = known_member or Member(node_id=node_id)
            heard = Now(now.mono_ms - report.age_ms, now.wall_ms - report.age_ms)
            times = self._times(node_id)
            if node_id not in self.collector.known or all(
                heard.mono_ms >= time.mono_ms for time in times
            ):
                # The last word counts, also when it is less: a member may have lost its disk.
                self._reported[node_id] = heard
                known = self._replica.origins.numbered(report.have)
                self.collector.hear(node_id, known)
                if (
                    not member.accepted
                    and (confirmed := self._confirmed_by(known)) != member.confirmed
                ):
                    # Who was met confirms by itself: nobody completes a delivery for another.
                    member = replace(member, confirmed=confirmed)
                    self._members.change(member)
            if not member.witnessed or heard.wall_ms > member.heard_ms + HEARD_STEP_MS:
                heard_ms = max(heard.wall_ms, member.heard_ms)
                self._members.change(replace(member, witnessed=True, heard_ms=heard_ms))

    def _confirmed_by(self, known: Mapping[int, DotSet]) -> int:
        """Give up to which of this node's writes all are in what another node has."""
        return min(known[OWN].base, self._replica.top) if OWN in known else 0

    def reports(
        self, receiver: str, neighbours: Container[str], begin: str | None, now: Now
    ) -> tuple[dict[str, Report], str | None]:
        """Give what this node knows of others, for a peer: as much as a message holds.

        Args:
            receiver: the peer; it knows better what it has itself.
            neighbours: those who are connected to it, and tell it themselves. In a mesh of n these
                are all, whose reports would be n times n haves for each to read.
            begin: the member to begin with; None, or one that is gone: any.
            now: the time.

        Returns:
            The reports by node id, and the member that the next ones begin with: so each is told
            of before any is told of twice.
        """
        names = [member.node_id for member in self._members]
        if not names:
            return {}, None
        start = now.mono_ms % len(names)
        if begin is not None and begin in self._members:
            start = names.index(begin)
        origins = self._replica.origins
        reports: dict[str, Report] = {}
        left = REPORTS_BYTES_MAX
        for node_id in (*names[start:], *names[:start]):
            known = self.collector.known.get(node_id)
            if known is None or node_id == receiver or node_id in neighbours:
                continue
            have = {origins[number]: dots for number, dots in known.items()}
            size = size_of(node_id, have)
            if size > REPORTS_BYTES_MAX:
                # It fits into none, and would keep those behind it from their turn.
                continue
            left -= size
            if left < 0 or len(reports) == MEMBERS_MAX:
                return reports, node_id
            # Not by the wall clock: where that was set back, old words were the newest for ever.
            heard_ms = max(time.mono_ms for time in self._times(node_id))
            reports[node_id] = Report(min(now.mono_ms - heard_ms, AGE_MS_MAX), have)
        return reports, names[start]

    def is_awaited(self, member: Member, wall_ms: int) -> bool:
        """Whether a member was named by people, and nobody has met it, nor waited too long."""
        is_suspended = bool(member.heard_ms) and self.is_suspended(member, wall_ms)
        return not (member.is_met or is_suspended)

    def begin_waiting(self, wall_ms: int) -> None:
        """Note since when those are awaited who were named and that nobody has met."""
        for member in list(self._members):
            if not (member.is_met or member.heard_ms):
                self._members.change(replace(member, heard_ms=wall_ms))

    def decide_collection(self, now: Now) -> Collected | None:
        """Decide what may be let go now; see `collection.py`."""
        active = [
            member.node_id for member in self._members if self.holds_back(member, now.wall_ms)
        ]
        return self._sparing(self.collector.decide(self._replica, active, now.wall_ms), now.wall_ms)

    def decide_alone(self, wall_ms: int) -> Collected | None:
        """Decide what may be let go by a node that waits for no member, when that is most.

        Who comes later gets a snapshot. While most is not obsolete, a delta is as small.
        """
        replica = self._replica
        rows = sum(len(log) for log in replica.logs.values())
        is_mostly_obsolete = rows > 2 * len(replica.entries) or len(replica.tombstones) > len(
            replica
        )
        if not is_mostly_obsolete or any(self.holds_back(m, wall_ms) for m in self._members):
            return None
        everything = {
            number: DotSet(log.base, log.ranges_beyond()) for number, log in replica.haves()
        }
        return self._sparing(collectable(replica, everything, wall_ms), wall_ms)

    def _sparing(self, collected: Collected | None, wall_ms: int) -> Collected | None:
        """Let tombstones stay while somebody is awaited: he may bring writes that are older."""
        if collected is None or not any(self.is_awaited(m, wall_ms) for m in self._members):
            return collected
        return collected._replace(keys=[]) if collected.ranges else None

    def is_time_to_collect(self, now: Now) -> bool:
        """Whether to look now; the next time is noted."""
        if now.mono_ms < self.collect_ms:
            return False
        self.collect_ms = now.mono_ms + COLLECT_INTERVAL_MS
        return True


def size_of(node_id: str, have: Haves) -> int:
    """Give no fewer than the bytes of a report."""
    size = len(node_id.encode()) + 20
    for origin, dots in have.items():
        size += len(origin.node_id.encode()) + 30 + 18 * len(dots.above)
    return size
