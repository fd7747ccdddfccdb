"""Where the demo is shown while it runs: what happens, and on a terminal a moving picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from rich.console import Console, Group
from rich.live import Live

from softadastra.cli.demo_view import NodeView, StateStrip, draw, look_at
from softadastra.testing import LocalNode

__all__ = ["Stage"]

REFRESH_SECONDS = 0.1
"""Between two looks at the nodes: smooth enough to watch, and little work for them."""


class Stage:
    """Looks at the nodes again and again in a thread of its own, and shows them.

    Use it as a context manager around the cluster: when something fails, the nodes end first,
    so that the thread does not wait for an answer.

    Args:
        console: what to show it on.
        pool: has a thread to look from; its owner ends it after the stage.
        is_silent: nothing is shown, and everything is recorded all the same.
    """

    def __init__(self, console: Console, pool: ThreadPoolExecutor, *, is_silent: bool) -> None:
        self._console = console
        self._pool = pool
        self._is_silent = is_silent
        has_color = console.color_system is not None and not console.no_color
        self._strip = StateStrip(has_block=has_color and console.encoding.startswith("utf"))
        # Not `console.is_terminal`: FORCE_COLOR makes it true for a pipe, as in many CI systems.
        is_moving = console.file.isatty() and not console.is_dumb_terminal and not is_silent
        self._live = Live(console=console, auto_refresh=False) if is_moving else None
        self._is_over = threading.Event()
        self._looking: Future[None] | None = None
        self._start = time.monotonic()
        self.story: list[tuple[float, str]] = []
        """What was told, with the seconds since the start."""
        self.views: list[NodeView] = []
        """What was seen of the nodes last."""

    def tell(self, sentence: str) -> None:
        """Show what happens now."""
        seconds = time.monotonic() - self._start
        self.story.append((seconds, sentence))
        if not self._is_silent:  # above the moving picture, where there is one
            self._console.print(f"{seconds:6.1f} s  {sentence}", soft_wrap=self._live is None)

    def watch(self, nodes: Sequence[LocalNode]) -> None:
        """Begin to look at nodes."""
        self._looking = self._pool.submit(self._look, nodes)

    def finish(self) -> None:
        """Look a last time, and leave the picture as it is; raises what looking raised."""
        self._is_over.set()
        if self._looking is not None:
            self._looking.result()
        if self._live is None and not self._is_silent:
            self._console.print(self._picture())

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._live is not None:
            self._live.stop()

    def _look(self, nodes: Sequence[LocalNode]) -> None:
        is_last = False
        while not is_last:
            is_last = self._is_over.wait(REFRESH_SECONDS)
            self.views = [look_at(node) for node in nodes]
            self._strip.add(self.views)
            if self._live is not None:
                self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        return draw(self.views, self._strip, width=self._console.width)
