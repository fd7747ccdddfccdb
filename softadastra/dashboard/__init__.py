"""A page in a browser that shows how a node is, and lets people settle its conflicts.

    from softadastra.dashboard import Dashboard

    with Client(options) as node, Dashboard(node, "127.0.0.1", 8765) as dashboard:
        print(dashboard.link)

It needs the extra `dashboard` (starlette and uvicorn), which are imported when one is opened.
docs/dashboard.md is for those who use it, decision 0022 says why it is as it is.

In reading order: `addresses.py` (where it listens), `tokens.py` (who is let in), `refusals.py` (why
a request is not done), `origins.py` (the names and pages it answers to), `gate.py` (what every
request passes), `bodies.py`, `connections.py` (limits of what comes in), `documents.py`,
`listing.py`, `settling.py` (what it tells of the node, and does for people), `monitoring.py` (what
it tells machines), `history.py`, `audience.py`, `feed.py`, `streaming.py` (what happens, live),
`routes.py`, `serving.py` (the thread), `dashboard.py`. The page itself is in `page/`.
"""

from __future__ import annotations

from softadastra.dashboard.dashboard import Dashboard

__all__ = ["Dashboard"]
