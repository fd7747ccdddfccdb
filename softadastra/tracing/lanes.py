"""Lifelines: a column for each node, and in each row one point or one arrow between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from softadastra.tracing.journey import Journey, Stage, Step
from softadastra.tracing.words import folded, label

__all__ = ["Lane", "Tone", "lanes_of"]


class Tone(Enum):
    """How a row is meant to look."""

    PLAIN = "plain"
    GOOD = "good"
    """The write is safe at one more place."""
    BAD = "bad"
    """It lost, or did not get through."""
    FAINT = "faint"


TONES = {
    Stage.ACCEPTED: Tone.GOOD,
    Stage.DURABLE: Tone.GOOD,
    Stage.MERGED: Tone.GOOD,
    Stage.RETRIED: Tone.BAD,
    Stage.FAULTED: Tone.BAD,
    Stage.CUT: Tone.BAD,
    Stage.LOST: Tone.BAD,
    Stage.CONFLICTED: Tone.BAD,
    Stage.DROPPED: Tone.BAD,
    Stage.REPEATED: Tone.FAINT,
    Stage.RECEIVED: Tone.FAINT,
    Stage.PRUNED: Tone.FAINT,
    Stage.COLLECTED: Tone.FAINT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One row."""

    step: Step
    words: str
    source: int
    """The column at which it happens, or from which the arrow comes."""
    target: int | None
    """The column to which the arrow goes; None: it is a point."""
    is_answer: bool
    arrives: bool
    tone: Tone


def lanes_of(journey: Journey) -> list[Lane]:
    """Give the rows of a journey. An answer is drawn where it comes, all else where it begins."""
    columns = {node.node_id: column for column, node in enumerate(journey.nodes)}
    steps = folded(journey.steps)
    return [_lane(step, columns[step.node_id], columns.get(step.peer)) for step in steps]


def _lane(step: Step, here: int, peer: int | None) -> Lane:
    source, target, is_answer = here, None, False
    if peer is not None and peer != here:
        if step.stage in (Stage.SENT, Stage.RETRIED):
            target = peer
        elif step.stage in (Stage.ACKNOWLEDGED, Stage.CONFIRMED):
            source, target, is_answer = peer, here, True
    arrives = step.stage is not Stage.SENT or step.has_arrived is not False
    tone = TONES.get(step.stage, Tone.PLAIN) if arrives else Tone.BAD
    return Lane(
        step=step,
        words=label(step),
        source=source,
        target=target,
        is_answer=is_answer,
        arrives=arrives,
        tone=tone,
    )
