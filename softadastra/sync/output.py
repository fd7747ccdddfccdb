"""What a poll of the engine gives: messages to send and connections to close."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from softadastra.store.dots import Range
from softadastra.sync.messages import Message

__all__ = ["Output", "Push"]


class Push(Enum):
    """What data may leave at a poll."""

    NOTHING = 1
    OVERDUE = 2
    """Batches whose acknowledgement is overdue."""
    ALL = 3


class Output(NamedTuple):
    """What is to be done now: the sends, then the drops."""

    sends: list[tuple[int, Message]]
    drops: list[int]
    launched: list[tuple[int, Range]]
    """The writes, by origin number, that the batches among the sends bring for the first time."""
    retried: int
    """Writes in batches that are sent again."""
    is_more: bool
    """Whether another poll may have more to send at once."""
