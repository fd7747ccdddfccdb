"""A node at the moment at which it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from softadastra.store.dots import DotSet
from softadastra.sync.collection import Known
from softadastra.sync.engine import Engine
from softadastra.sync.exclusions import Exclusion
from softadastra.sync.members import Member
from softadastra.sync.settings import Now
from softadastra.vitals import LogRefusal

__all__ = ["Moment"]


class Moment(NamedTuple):
    """An engine, the time, and what it does not know of its node. For who holds its lock."""

    engine: Engine
    now: Now
    is_online: bool
    """Whether the transport runs."""
    is_writing: bool
    """Whether the log takes records; otherwise the node says nothing to anybody."""
    refusal: LogRefusal | None
    """What the disk refused last; None: the last append worked. The node goes on sending what it
    has; what it is asked to write, and what peers send it, it does not take."""
    auto_tick: bool
    """Whether data leaves by itself, or at a tick alone."""
    excluded: Mapping[str, Exclusion]
    """Who is shut out for what it sent, by name."""

    def wall_ms(self, mono_ms: int) -> int:
        """Give the wall clock at a time of the monotonic one."""
        return self.now.wall_ms - (self.now.mono_ms - mono_ms)

    def known(self, node_id: str) -> Known | None:
        """Give what a peer has, as it last said, or others; None: nobody did since the start."""
        session = self.engine.connections.of_peer(node_id)
        if session is not None:
            return session.known
        return self.engine.membership.collector.known.get(node_id)

    def has(self, member: Member, origin: int, n: int) -> bool | None:
        """Whether a peer has a write; None: it is not known."""
        if origin == self.engine.replica.me and n <= member.confirmed:
            return True
        known = self.known(member.node_id)
        return None if known is None else n in known.get(origin, NOTHING)


NOTHING = DotSet()
