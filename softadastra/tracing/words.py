"""A journey in words: a label for each step, and what came of it all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from softadastra.tracing.journey import Journey, Stage, Step, Traveller

__all__ = ["clock_of", "elapsed", "folded", "label", "shown", "summary"]


def shown(text: str) -> str:
    """Escape what a terminal or a browser would obey instead of show, and what nobody can see."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def folded(steps: Iterable[Step]) -> Iterator[Step]:
    """Leave out that a batch came where what became of it stands right behind."""
    waiting: Step | None = None
    for step in steps:
        if waiting is not None:
            is_same = (step.node_id, step.peer, step.connection, step.batches) == (
                waiting.node_id,
                waiting.peer,
                waiting.connection,
                waiting.batches,
            )
            if not (is_same and step.stage in (Stage.MERGED, Stage.REPEATED)):
                yield waiting
            waiting = None
        if step.stage is Stage.RECEIVED:
            waiting = step
        else:
            yield step
    if waiting is not None:
        yield waiting


def label(step: Step) -> str:
    """Say what a step is; who does it is known from where it stands."""
    peer, batch = shown(step.peer), _batch(step)
    match step.stage:
        case Stage.ACCEPTED:
            return "accepted, durable" if step.is_durable else "accepted, not synced yet"
        case Stage.DURABLE:
            return "durable: the log was synced"
        case Stage.RELEASED:
            return "may leave now"
        case Stage.SENT:
            return f"{batch} to {peer}{_fate(step)}"
        case Stage.RETRIED:
            return f"{batch} to {peer} again, attempt {step.attempts}"
        case Stage.FAULTED:
            return f"{peer} is faulted: no answer to {batch} after {step.attempts} attempts"
        case Stage.CUT:
            return f"connection with {peer} lost: {shown(step.reason)}"
        case Stage.RECEIVED:
            return f"received {batch} from {peer}"
        case Stage.MERGED:
            ending = ", superseded by then" if step.is_superseded else ""
            return f"merged {batch} from {peer}{ending}"
        case Stage.REPEATED:
            return f"{batch} from {peer} brings it again"
        case Stage.JOINED:
            return f"had it, obsolete, by the end of a snapshot from {peer}"
        case Stage.LOST:
            return f"lost to {_others(step)}"
        case Stage.WON:
            return f"won over {_others(step)}"
        case Stage.CONFLICTED:
            return f"in conflict with {_others(step)}"
        case Stage.DROPPED:
            return f"dropped: obsolete, by a snapshot from {peer}"
        case Stage.ACKNOWLEDGED:
            return f"{peer} acknowledged {batch}"
        case Stage.CONFIRMED:
            return f"{peer} has all of {batch}, it says"
        case Stage.PRUNED:
            return "pruned: counted no more"
        case Stage.COLLECTED:
            return "collected: every member has it"
        case Stage.NOTED:
            return shown(step.event)
        case _ as unreachable:
            assert_never(unreachable)


def _batch(step: Step) -> str:
    noun = "batch" if len(step.batches) == 1 else "batches"
    return f"{noun} {', '.join(map(str, step.batches)) or '?'}"


def _fate(step: Step) -> str:
    match step.has_arrived:
        case True:
            return ""
        case False:
            return ", not seen to arrive"
        case None:
            return f" (no log of {shown(step.peer)})"


def _others(step: Step) -> str:
    return ", ".join(map(shown, step.others)) or "another write"


def elapsed(step: Step) -> str:
    """Say about when a step was, counted from the first one."""
    if step.at_ms is None:
        return "?"
    sign = "-" if step.at_ms < 0 else "+"
    milliseconds = abs(step.at_ms)
    if milliseconds < 10_000:
        return f"{sign}{milliseconds} ms"
    seconds = milliseconds / 1000
    return f"{sign}{seconds:,.1f} s" if seconds < 100_000 else f"{sign}{seconds:,.0f} s"


def clock_of(node: Traveller) -> str:
    """Say how a node's clock stands to the first node's; empty when it is about the same."""
    if node.skew_ms is None:
        return "clock not comparable" if node.has_log else "no log"
    if node.skew_ms == 0:
        return ""
    if node.skew_within_ms is None:
        return f"clock about {_ahead(node.skew_ms)}, by messages of one way"
    return f"clock {_ahead(node.skew_ms)}, give or take {node.skew_within_ms:,} ms"


def _ahead(milliseconds: int) -> str:
    return f"{abs(milliseconds):,} ms {'behind' if milliseconds < 0 else 'ahead'}"


def summary(journey: Journey) -> list[str]:
    """Say in a few lines what came of a write."""
    by_stage: dict[Stage, dict[str, str]] = {}
    for step in journey.steps:
        about = step.peer if step.stage in BY_PEER else step.node_id
        by_stage.setdefault(step.stage, {})[shown(about)] = _others(step)
    lines = []
    for stage, words in OUTCOMES:
        found = by_stage.get(stage, {})
        if not found:
            continue
        if stage in (Stage.LOST, Stage.WON, Stage.CONFLICTED):
            whom: dict[str, list[str]] = {}
            for node_id, others in found.items():
                whom.setdefault(others, []).append(node_id)
            lines += [f"{words} {others} on {', '.join(ids)}" for others, ids in whom.items()]
        else:
            lines.append(f"{words} {', '.join(found)}")
    return lines


BY_PEER = frozenset({Stage.ACKNOWLEDGED, Stage.CONFIRMED, Stage.FAULTED})
OUTCOMES = (
    (Stage.ACCEPTED, "accepted by"),
    (Stage.MERGED, "merged by"),
    (Stage.JOINED, "known as obsolete by"),
    (Stage.LOST, "lost to"),
    (Stage.WON, "won over"),
    (Stage.CONFLICTED, "in conflict with"),
    (Stage.DROPPED, "dropped by"),
    (Stage.ACKNOWLEDGED, "acknowledged by"),
    (Stage.CONFIRMED, "confirmed by"),
    (Stage.FAULTED, "given up for now by reason of"),
    (Stage.COLLECTED, "collected by"),
)
