"""The journey of one write, put together from what the nodes have logged.

In reading order: `sync_ids.py` (what a log calls writes), `lines.py` (a line of a log), `logs.py`
(what is kept of it), `causality.py` (what happened before what), `skew.py` (what follows for the
clocks), `journey.py` (the result), `words.py`, and its pictures: `lanes.py` with `text.py`,
`mermaid.py` and `page.py`, and `document.py` for programs.

Pure, like the core: lines come in as text, pictures go out as text. Two nodes' clocks are never
compared to order anything.
"""

from __future__ import annotations

__all__: list[str] = []
