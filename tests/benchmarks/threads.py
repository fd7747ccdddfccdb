"""Several threads that write at once, each its own share of the keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from .workload import DEADLINE_SECONDS, writes

__all__ = ["Put", "rate_together"]

Put = Callable[[str, str], object]
"""Stores a key and its value."""


def rate_together(
    count: int, threads: int, opened: Callable[[], AbstractContextManager[Put]]
) -> float:
    """Put `count` writes from several threads; writes per second, from the first to the last.

    Args:
        count: how many in all.
        threads: how many share them.
        opened: makes what a thread puts with, in that thread, before the clock starts.

    Raises:
        RuntimeError: a thread failed.
    """
    shares = [writes(count)[first::threads] for first in range(threads)]
    together = threading.Barrier(threads + 1, timeout=DEADLINE_SECONDS)
    failures: list[Exception] = []

    def put_share(share: list[tuple[str, str]]) -> None:
        try:
            with opened() as put:
                together.wait()
                for key, value in share:
                    put(key, value)
                together.wait()
        except Exception as error:  # the thread that measures raises it
            failures.append(error)
            together.abort()

    workers = [threading.Thread(target=put_share, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    try:
        together.wait()
        start = time.perf_counter()
        together.wait()
        seconds = time.perf_counter() - start
    except threading.BrokenBarrierError as error:
        raise RuntimeError("a thread that writes has failed") from next(iter(failures), error)
    finally:
        for worker in workers:
            worker.join()
    return count / seconds
