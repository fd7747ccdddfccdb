"""Where the measured processes spend their time: a profile of each of their threads.

Profiling makes Python calls several times slower and waiting no slower, so it tells what to look
at, not how fast anything is.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_profiling", "profiled", "profiled_role"]

VARIABLE = "BENCHMARKS_PROFILE"
"""Tells the child processes the folder; they inherit it."""
FUNCTIONS_SHOWN = 25


@contextmanager
def profiled(folder: Path | None) -> Iterator[None]:
    """Let every process that is started meanwhile write its profile into a folder."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def is_profiling() -> bool:
    """Whether processes that are started now write profiles."""
    return VARIABLE in os.environ


@contextmanager
def profiled_role(name: str) -> Iterator[None]:
    """Profile this process's threads, when it was asked for: `NAME-PID.txt`, a part a thread."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        yield
        return
    profiles: list[tuple[str, cProfile.Profile]] = []

    def begin(*_: object) -> None:
        profile = cProfile.Profile()
        profiles.append((threading.current_thread().name, profile))
        profile.enable()  # in this thread, in place of the hook that called this

    threading.setprofile(begin)
    begin()
    try:
        yield
    finally:
        threading.setprofile(None)
        text = io.StringIO()
        for thread, profile in profiles:
            print(f"thread {thread}", file=text)
            statistics = pstats.Stats(profile, stream=text)
            statistics.sort_stats("tottime").print_stats(FUNCTIONS_SHOWN)
        path = Path(folder) / f"{name}-{os.getpid()}.txt"
        path.write_text(text.getvalue(), encoding="utf-8")
