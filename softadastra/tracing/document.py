"""A journey for programs: what `softadastra trace --json` prints (docs/debugging.md)."""

from __future__ import annotations

from dataclasses import asdict

from softadastra.tracing.journey import Journey, Step
from softadastra.tracing.logs import LogFile
from softadastra.tracing.words import label

__all__ = ["document"]


def document(journey: Journey, files: list[LogFile]) -> dict[str, object]:
    """Give a journey as JSON has it."""
    return {
        "sync_id": str(journey.sync_id),
        "key": journey.key,
        "nodes": [asdict(node) for node in journey.nodes],
        "steps": [_step(number, step) for number, step in enumerate(journey.steps)],
        "remarks": list(journey.remarks),
        "logs": [asdict(file) for file in files],
    }


def _step(number: int, step: Step) -> dict[str, object]:
    found = {"number": number, **asdict(step), "words": label(step)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}
