"""What happens in the demo: who writes what, and which process is stopped and killed when.

One node loads the named characters of Unicode in batches while the others write keys of their
own and overwrite loaded ones, all at the same time. Meanwhile one process is stopped and goes
on, and one is killed in the middle of its writes and starts again. Then all that was
written is compared with all that the nodes hold.

The seed decides who is stopped and killed, and draws the writes; how far a node comes before it
is killed, and so what is left for afterwards, is up to the machine.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from softadastra.errors import InvalidStateError, TransportError
from softadastra.testing import LocalCluster, LocalNode, Verdict

__all__ = ["Ending", "Story", "named_characters"]

ROUNDS = 40
"""Batches that even a small load is divided into, so that it goes on during every fault."""

BATCH_WRITES_MAX = 1000
"""A larger batch saves hardly any fsyncs and makes the writers wait for the loader."""

OTHERS_SHARE = 50
"""A writer makes up to one write for so many that are loaded: plenty of overwrites, and the
load still sets the pace."""

OVERWRITES_SHARE = 0.5
"""Of the other nodes' writes: both kinds are to be seen in every run."""

CONVERGENCE_SECONDS = 120.0
"""Far more than 150,000 keys need on a slow machine: who has not converged by then is stuck."""

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the story ended."""

    keys_count: int
    """Characters that were loaded."""
    writes_count: int
    """Accepted writes, of all nodes."""
    unknown_count: int
    """Writes that were under way when their node was killed."""
    converged_seconds: float | None
    """From the last write until all nodes held the same; None: they never did."""
    verdict: Verdict

    @property
    def is_good(self) -> bool:
        """Whether the nodes are equal and nothing is lost."""
        return self.converged_seconds is not None and self.verdict.is_clean


class Story:
    """One run, from an empty cluster to the verdict. For one thread.

    Args:
        cluster: open, with two nodes or more; the first one loads.
        pool: where the nodes are asked at the same time, a thread for each. Its owner ends the
            nodes before it, so that no thread waits for an answer.
        characters: what it loads.
        seed: of everything that is drawn.
        tell: gets a sentence at each turn of the story.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        pool: ThreadPoolExecutor,
        characters: Pairs,
        *,
        seed: int,
        tell: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._pool = pool
        self._loader, *self._writers = cluster.nodes
        self._characters = characters
        self._random = random.Random(seed)  # noqa: S311  repeatable, not secret
        self._tell = tell
        self._batch_size = max(1, min(BATCH_WRITES_MAX, len(characters) // ROUNDS))
        self._to_load = deque(_slices(characters, self._batch_size))
        self._writes_made = 0

    def run(self) -> Ending:
        """Tell the whole story.

        Raises:
            SoftadastraError: a node failed at what it must be able to do.
        """
        rounds = max(1, len(self._to_load) // 4)
        stopped = self._random.choice(self._writers)
        killed = self._random.choice([n for n in self._cluster.nodes if n is not stopped])
        self._tell(f"{self._loader.node_id} loads {len(self._characters):,} keys; all write")
        self._write(rounds, away=None)
        stopped.pause()
        self._tell(f"{stopped.node_id} is stopped (SIGSTOP); the others write on")
        self._write(rounds, away=stopped)
        stopped.resume()
        self._tell(f"{stopped.node_id} goes on (SIGCONT)")
        self._kill_while_writing(killed)
        self._tell(f"{killed.node_id} is killed in mid-write (kill -9)")
        self._write(rounds, away=killed)
        killed.restart()
        self._tell(f"{killed.node_id} is started again")
        while self._to_load:
            self._write(1, away=None)
        return self._end()

    def _end(self) -> Ending:
        self._tell("all is written; the nodes come together")
        start = time.monotonic()
        has_converged = self._cluster.wait_converged(CONVERGENCE_SECONDS)
        seconds = time.monotonic() - start
        self._tell("every key of every node is compared")
        history = self._cluster.history
        return Ending(
            keys_count=len(self._characters),
            writes_count=history.accepted_count,
            unknown_count=history.unknown_count,
            converged_seconds=seconds if has_converged else None,
            verdict=self._cluster.judge(),
        )

    def _write(self, rounds: int, *, away: LocalNode | None) -> None:
        """Have all nodes but one write at the same time, a batch each a round."""
        for _ in range(rounds):
            portions = {node: self._others_batch(node) for node in self._writers if node != away}
            if self._loader != away and self._to_load:
                portions[self._loader] = self._to_load.popleft()
            for written in [self._pool.submit(node.put_many, p) for node, p in portions.items()]:
                written.result()

    def _kill_while_writing(self, node: LocalNode) -> None:
        """Kill a node that has answered a part of its writes, and works on the next."""
        has_answered = threading.Event()
        if node is self._loader:
            written = self._pool.submit(_load, node, self._to_load, has_answered)
        else:
            batches = deque(self._others_batch(node) for _ in range(ROUNDS))
            written = self._pool.submit(_write_on, node, batches, has_answered)
        has_answered.wait(CONVERGENCE_SECONDS)
        node.kill()
        error = written.exception()
        if not isinstance(error, TransportError | InvalidStateError | None):
            raise error

    def _others_batch(self, node: LocalNode) -> Pairs:
        """Draw some writes of a node: keys of its own, and characters that are loaded."""
        count = self._random.randint(1, max(2, self._batch_size // OTHERS_SHARE))
        return [self._others_write(node.node_id) for _ in range(count)]

    def _others_write(self, node_id: str) -> tuple[str, str]:
        self._writes_made += 1
        number = self._writes_made
        loaded_count = len(self._characters) - len(self._to_load) * self._batch_size
        if loaded_count > 0 and self._random.random() < OVERWRITES_SHARE:
            key, name = self._characters[self._random.randrange(loaded_count)]
            return key, f"{name} (write {number}, by {node_id})"
        return f"{node_id}/{number}", f"write {number}"


def named_characters(limit: int | None = None) -> Pairs:
    """List the characters that Python's `unicodedata` names, as ("U+0041", its name).

    Args:
        limit: how many at most; None: all, 150,000 or so, by Python's version.
    """
    found: Pairs = []
    for code in range(sys.maxunicode + 1):
        if len(found) == limit:
            break
        if name := unicodedata.name(chr(code), ""):
            found.append((f"U+{code:04X}", name))
    return found


def _load(node: LocalNode, batches: deque[Pairs], has_answered: threading.Event) -> None:
    """Write batches in order; those that were not answered are left."""
    try:
        while batches:
            node.put_many(batches[0])
            batches.popleft()
            has_answered.set()
    finally:
        has_answered.set()


def _write_on(node: LocalNode, batches: deque[Pairs], has_answered: threading.Event) -> None:
    """Write batches over and over until the node is killed, however late that comes."""
    try:
        while True:
            node.put_many(batches[0])
            batches.rotate(-1)
            has_answered.set()
    finally:
        has_answered.set()


def _slices(pairs: Pairs, size: int) -> Iterator[Pairs]:
    return (pairs[start : start + size] for start in range(0, len(pairs), size))
