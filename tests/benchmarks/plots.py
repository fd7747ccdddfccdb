"""Plots over the project's history, one a figure: SVG, for dark pages and light ones.

Up is what is judged, on a logarithmic scale, since twice as fast is twice as fast anywhere on it.
To the right are the runs, in order, at equal distances: they are made when something was changed,
not at regular times. A dot is a median, the line through it goes from the least to the greatest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from .records import Point
from .report import number

__all__ = ["file_name", "plot"]

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 34, 34
"""Room for the numbers, for the words at the limits, for the title and for the commits."""
MARGIN = 1.15
"""Above the greatest and below the least, as a factor."""
LABELS_MAX = 6
"""Commits that fit beside each other."""

STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.page { fill: #ffffff; } .small { font-size: 10px; fill: #59636e; }
.axis { stroke: #d1d9e0; } .spread { stroke: #0969da; stroke-width: 2; opacity: .45; }
.line { fill: none; stroke: #0969da; stroke-width: 1.5; } .dot { fill: #0969da; }
.floor { stroke: #cf222e; stroke-dasharray: 5 4; } .aim { stroke: #1a7f37; stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .page { fill: #0d1117; } .small { fill: #9198a1; }
.axis { stroke: #3d444d; } .spread, .line { stroke: #4493f8; } .dot { fill: #4493f8; }
.floor { stroke: #f85149; } .aim { stroke: #3fb950; } }
"""


def file_name(title: str) -> str:
    """Name the file of a figure's plot."""
    return f"{title.replace(' ', '-').replace('.', '_')}.svg"


def plot(points: Sequence[Point]) -> str:
    """Draw the history of one figure.

    Args:
        points: one or more, the oldest first.
    """
    return "\n".join(_elements(points)) + "\n"


def _elements(points: Sequence[Point]) -> Iterator[str]:
    last = points[-1]
    limits = {
        name: float(value) for name in ("floor", "aim") if (value := last.figure[name]) is not None
    }
    scale = _Scale(points, limits)
    is_better = "less is better" if last.figure["is_less_better"] else "more is better"
    kind = last.figure["unit"] if last.figure["is_absolute"] else f"times: {last.row['beside']}"
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    yield f"<title>{escape(last.title)}: {escape(last.row['work'])}</title>"
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>'
    yield f'<text x="8" y="15">{escape(last.row["work"])}</text>'
    yield f'<text class="small" x="8" y="28">{escape(f"{kind} ({is_better})")}</text>'
    for value in scale.marks():
        y = scale.y(value)
        yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="small" x="{LEFT - 6}" y="{y + 3}" text-anchor="end">'
        yield f"{number(value)}</text>"
    for name, value in limits.items():
        y = scale.y(value)
        yield f'<line class="{name}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="small" x="{WIDTH - RIGHT + 6}" y="{y + 3}">'
        yield f"{name} {number(value)}</text>"
    places = [(scale.x(index), scale.y(each.figure["median"])) for index, each in enumerate(points)]
    yield f'<polyline class="line" points="{" ".join(f"{x},{y}" for x, y in places)}"/>'
    every = math.ceil(len(points) / LABELS_MAX)
    for index, (point, (x, y)) in enumerate(zip(points, places, strict=True)):
        least, greatest = scale.y(point.figure["min"]), scale.y(point.figure["max"])
        what = f"{point.record['commit']}, {point.record['measured_at'][:10]}"
        yield f'<line class="spread" x1="{x}" x2="{x}" y1="{least}" y2="{greatest}"/>'
        yield f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"><title>{what}: '
        yield f"{number(point.figure['median'])}</title></circle>"
        if (len(points) - 1 - index) % every == 0:
            yield f'<text class="small" x="{x}" y="{HEIGHT - 18}" text-anchor="middle">'
            yield f"{point.record['measured_at'][:10]}</text>"
            yield f'<text class="small" x="{x}" y="{HEIGHT - 6}" text-anchor="middle">'
            yield f"{point.record['commit'][:7]}</text>"
    yield "</svg>"


class _Scale:
    """Where a number and a run are on the page."""

    def __init__(self, points: Sequence[Point], limits: dict[str, float]) -> None:
        shown = [float(point.figure[name]) for point in points for name in ("min", "max")]
        shown += limits.values()
        # A difference can come out as 0 or below: it is shown at the foot.
        positive = [each for each in shown if each > 0] or [1.0]
        self._least, self._greatest = min(positive) / MARGIN, max(positive) * MARGIN
        self._count = len(points)

    def y(self, value: float) -> float:
        part = math.log(max(value, self._least) / self._least) / self._span
        return round(HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM), 1)

    def x(self, index: int) -> float:
        return round(LEFT + (index + 0.5) * (WIDTH - LEFT - RIGHT) / self._count, 1)

    def marks(self) -> list[float]:
        """Give four numbers at equal distances."""
        return [self._least * math.exp(self._span * part / 3) for part in range(4)]

    @property
    def _span(self) -> float:
        return math.log(self._greatest / self._least)
