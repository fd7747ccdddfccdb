"""The members: every peer that this node knows, and what it has confirmed. Kept in the log."""

from __future__ import annotations

from dataclasses import dataclass

from softadastra.types import PeerSource

__all__ = ["Member"]


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
