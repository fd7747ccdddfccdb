"""A journey as one HTML file that stands alone: nothing is loaded, and no script runs.

Its words wrap beside the lifelines, so a telephone shows all of it; colours follow the reader's
dark or light setting. A policy in the file itself forbids whatever is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from softadastra.tracing.journey import Journey, Traveller
from softadastra.tracing.lanes import Lane, lanes_of
from softadastra.tracing.words import clock_of, elapsed, shown, summary

__all__ = ["page"]

LANE_PX: Final = 26
"""Between two lifelines, at most."""
LANES_PX: Final = 240
"""What all lifelines take at most, so that a telephone has room for words, unless that is less than
LANE_PX_MIN for each."""
LANE_PX_MIN: Final = 10
"""An arrow between neighbours needs as much."""
INSET_PX: Final = 9
"""Before the first lifeline and behind the last one: a point has half of it."""
MIDDLE_PX: Final = 14
"""How far below the top of a row its arrow is: in the middle of its first line of words."""

STYLE: Final = """\
:root { color-scheme: light dark; --ink: #1c2126; --paper: #fdfdfc; --line: #b9c0c7;
  --faint: #6b747d; --good: #1a7f37; --bad: #b42318; --plain: #2457c5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --paper: #14181c; --line: #48525b;
  --faint: #939ca5; --good: #57c278; --bad: #ff8a7a; --plain: #8ab1ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
ul { margin: .3rem 0; padding-left: 1.2rem; } .faint, time { color: var(--faint); }
ol { list-style: none; margin: 1rem 0; padding: 0; }
ol > li { display: grid; grid-template-columns: var(--lanes) 1fr; column-gap: .7rem;
  min-height: 28px; }
.lanes { position: relative; } .lanes i { position: absolute; top: 0; bottom: 0; width: 2px;
  background: var(--line); } .lanes svg { position: absolute; top: 0; left: 0; }
.words { padding: 3px 0; } time { white-space: nowrap; font-variant-numeric: tabular-nums; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .plain { --tone: var(--plain); }
.faint { --tone: var(--faint); } svg { stroke: var(--tone); fill: var(--tone); stroke-width: 2; }
svg .answer { stroke-dasharray: 4 3; } svg .lost { fill: none; } .bad .words { color: var(--bad); }
"""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(journey: Journey) -> str:
    """Draw a journey."""
    title = shown(str(journey.sync_id))
    key = "" if journey.key is None else f"<p>key <code>{_text(journey.key)}</code></p>\n"
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>The journey of {escape(title)}</title>\n"
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>The journey of {escape(title)}</h1>\n{key}"
        f"{_list(summary(journey))}"
        f'<ol style="--lanes:{_width(len(journey.nodes))}px">\n'
        f"{''.join(_heading(journey.nodes))}{''.join(_rows(journey))}</ol>\n"
        f"{_remarks(journey)}</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape(shown(text))


def _list(items: Sequence[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(item)}</li>\n" for item in items) + "</ul>\n"


def _remarks(journey: Journey) -> str:
    if not journey.remarks:
        return ""
    return f"<h2>To read this rightly</h2>\n{_list([shown(each) for each in journey.remarks])}"


def _width(columns: int) -> int:
    return 2 * INSET_PX + max(0, columns - 1) * _lane_px(columns)


def _lane_px(columns: int) -> int:
    return max(LANE_PX_MIN, min(LANE_PX, LANES_PX // max(1, columns)))


def _heading(nodes: Sequence[Traveller]) -> Iterator[str]:
    for column, node in enumerate(nodes):
        clock = clock_of(node)
        about = f' <span class="faint">{escape(clock)}</span>' if clock else ""
        x = _x(column, len(nodes))
        beginning = _svg(f'<circle cx="{x}" cy="{MIDDLE_PX}" r="3"/>', len(nodes))
        name = f"<strong>{_text(node.node_id)}</strong>{about}"
        yield _row("plain", _lines(column, len(nodes)) + beginning, name)


def _rows(journey: Journey) -> Iterator[str]:
    for lane in lanes_of(journey):
        time = f"<time>{escape(elapsed(lane.step))}</time>"
        words = f"<strong>{_text(lane.step.node_id)}</strong> {escape(lane.words)} {time}"
        columns = len(journey.nodes)
        lifelines = _lines(columns, columns) + _drawn(lane, columns)
        yield _row(lane.tone.value, lifelines, words)


def _row(tone: str, lifelines: str, words: str) -> str:
    return (
        f'<li class="{tone}"><div class="lanes" aria-hidden="true">{lifelines}</div>'
        f'<div class="words">{words}</div></li>\n'
    )


def _x(column: int, columns: int) -> int:
    return INSET_PX + column * _lane_px(columns)


def _lines(drawn: int, columns: int) -> str:
    return "".join(f'<i style="left:{_x(column, columns) - 1}px"></i>' for column in range(drawn))


def _drawn(lane: Lane, columns: int) -> str:
    source, y = _x(lane.source, columns), MIDDLE_PX
    if lane.target is None:
        shape = f'<circle cx="{source}" cy="{y}" r="5"/>'
    else:
        target = _x(lane.target, columns)
        ahead = 1 if target > source else -1
        end = target - ahead
        style = ' class="answer"' if lane.is_answer else ""
        shape = f'<path d="M{source} {y}H{end - 6 * ahead}"{style}/>' + _head(
            end, y, ahead, arrives=lane.arrives
        )
    return _svg(shape, columns)


def _svg(shape: str, columns: int) -> str:
    return f'<svg width="{_width(columns)}" height="{2 * MIDDLE_PX}">{shape}</svg>'


def _head(x: int, y: int, ahead: int, *, arrives: bool) -> str:
    back = x - 7 * ahead
    if arrives:
        return f'<path d="M{x} {y}L{back} {y - 4}V{y + 4}Z"/>'
    return f'<path class="lost" d="M{back} {y - 4}L{x} {y + 4}M{back} {y + 4}L{x} {y - 4}"/>'
