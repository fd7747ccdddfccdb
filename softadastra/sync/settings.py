"""What the engine is told when it is made, and with each input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from softadastra.sync.batches import Limits

__all__ = ["CONNECTED_MAX", "KNOWN_MAX", "EngineOptions", "Now"]

CONNECTED_MAX: Final = 64
"""Peers that are connected at most. DESIGN.md section 8."""
KNOWN_MAX: Final = 256
"""Peers that this node has met, or is to dial, at most: each costs a line in every message about
who has what. Those that it was only told of are `fields.MEMBERS_MAX` at most."""


class Now(NamedTuple):
    """Both clocks: the monotonic one for deadlines, the wall clock for stamps."""

    mono_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """The settings of the engine; see ClientOptions for what they mean."""

    cluster: str
    batch: Limits
    window: int
    max_retries: int
    retry_interval_ms: int
    ack_timeout_ms: int
    tick_interval_ms: int
    max_offline_ms: int
    require_ack: bool
    auto_queue: bool
    connected_max: int = CONNECTED_MAX
    known_max: int = KNOWN_MAX
