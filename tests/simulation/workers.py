"""Processes that run seeds at the same time, and end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

__all__ = ["worker_pool"]


def worker_pool() -> ProcessPoolExecutor:
    """Make one for each processor.

    A pool that is left tells its workers to end. One whose process was killed, by SIGTERM too,
    tells them nothing: they would wait for ever, for work that each could still be sent by another.
    """
    return ProcessPoolExecutor(os.cpu_count(), initializer=_end_with_the_parent)


def _end_with_the_parent() -> None:
    threading.Thread(target=_await_the_end, name="awaits the parent's end", daemon=True).start()


def _await_the_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # From here nobody takes a result: not the seed that is under way, nor any clean-up.
    os._exit(1)
