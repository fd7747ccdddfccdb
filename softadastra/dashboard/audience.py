"""Who looks at the page now: each has a queue of its own, and a slow one holds up nobody.

All of it belongs to the dashboard's event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from softadastra.dashboard.documents import encoded
from softadastra.dashboard.refusals import Reason, RefusedError

__all__ = ["Audience", "Viewer", "message"]

VIEWERS_MAX: Final = 16
"""Pages that are open at once. Each costs a connection for as long."""

MESSAGES_MAX: Final = 32
"""Messages that wait for one of them: eight seconds of happenings at the most that are sent."""


def message(name: str, document: Mapping[str, object]) -> str:
    """Write a message of the stream, as the HTML standard has it (section 9.2)."""
    return f"event: {name}\ndata: {encoded(document)}\n\n"


class Viewer:
    """What waits for one page.

    The vitals are those of now or nothing: an older look is replaced by a newer one. Other messages
    wait in a queue; of those that find no room the next one tells how many were left out.
    """

    def __init__(self) -> None:
        self._vitals: str | None = None
        self._messages: deque[str] = deque()
        self._left_out = 0
        self._is_over = False
        self._something = asyncio.Event()

    def show_vitals(self, text: str) -> None:
        """Have this look shown, in place of one that waits."""
        self._vitals = text
        self._something.set()

    def tell(self, text: str) -> None:
        """Have a message told, if there is room."""
        if len(self._messages) >= MESSAGES_MAX:
            self._left_out += 1
            return
        self._messages.append(text)
        self._something.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._is_over = True
        self._something.set()

    async def next(self) -> list[str] | None:
        """Wait for something, and take all of it; None: nothing more will come."""
        await self._something.wait()
        self._something.clear()
        if self._is_over:
            return None
        found = list(self._messages)
        self._messages.clear()
        if self._left_out:
            found.append(message("left_out", {"messages": self._left_out}))
            self._left_out = 0
        if self._vitals is not None:
            found.append(self._vitals)
            self._vitals = None
        return found


class Audience:
    """Everybody who looks."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self._came = asyncio.Event()
        self._is_over = False

    def __len__(self) -> int:
        return len(self._viewers)

    def admit(self) -> Viewer:
        """Take one more in; `dismiss` it in the end.

        Raises:
            RefusedError: there are as many as can be, or the dashboard ends.
        """
        if self._is_over:
            raise RefusedError(Reason.UNAVAILABLE, "the dashboard ends")
        if len(self._viewers) >= VIEWERS_MAX:
            raise RefusedError(
                Reason.BUSY, f"{VIEWERS_MAX} pages are open already: close one of them"
            )
        viewer = Viewer()
        self._viewers.add(viewer)
        self._came.set()
        return viewer

    def dismiss(self, viewer: Viewer) -> None:
        """Let one go."""
        self._viewers.discard(viewer)

    async def wait(self, seconds: float) -> bool:
        """Wait until somebody comes, or so long; give whether somebody has."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return False
        self._came.clear()
        return True

    def show_vitals(self, text: str) -> None:
        """Show everybody how the node is."""
        for viewer in self._viewers:
            viewer.show_vitals(text)

    def tell(self, text: str) -> None:
        """Tell everybody."""
        for viewer in self._viewers:
            viewer.tell(text)

    def end(self) -> None:
        """Nobody is told any more, and nobody comes."""
        self._is_over = True
        for viewer in self._viewers:
            viewer.end()
