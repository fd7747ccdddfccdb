"""A journey as a Mermaid sequence diagram, for documents and issues.

Mermaid ends a text at `;` and `#` and obeys some others, so all but plain characters are written as
its entity codes (https://mermaid.js.org/syntax/sequenceDiagram.html, "Entity codes to escape
characters"). Participants have names of their own, and the nodes' as aliases.
"""

from __future__ import annotations

from softadastra.tracing.journey import Journey
from softadastra.tracing.lanes import Lane, lanes_of
from softadastra.tracing.words import clock_of, elapsed, shown

__all__ = ["mermaid"]

PLAIN = frozenset(" .,/_()+-?!'")


def mermaid(journey: Journey) -> str:
    """Draw a journey."""
    lines = ["sequenceDiagram"]
    for number, node in enumerate(journey.nodes, 1):
        clock = clock_of(node)
        alias = node.node_id + (f" ({clock})" if clock else "")
        lines.append(f"    participant n{number} as {escaped(alias)}")
    lines += [f"    {_statement(lane)}" for lane in lanes_of(journey)]
    return "\n".join(lines) + "\n"


def _statement(lane: Lane) -> str:
    words = f"{escaped(lane.words)} ({escaped(elapsed(lane.step))})"
    source = f"n{lane.source + 1}"
    if lane.target is None:
        return f"Note over {source}: {words}"
    arrow = "-x" if not lane.arrives else "-->>" if lane.is_answer else "->>"
    return f"{source}{arrow}n{lane.target + 1}: {words}"


def escaped(text: str) -> str:
    """Write a text so that Mermaid shows it as it is."""
    return "".join(
        character if character.isalnum() or character in PLAIN else f"#{ord(character)};"
        for character in shown(text)
    )
