"""What people ask of the outbox: to stop tracking, to let go, to try again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

from softadastra.sync.engine import Engine
from softadastra.sync.records import Pruned, Record, Released
from softadastra.sync.settings import Now
from softadastra.sync.status import sync_state

__all__ = ["prune", "release", "requeue_failed"]


class Tended(Protocol):
    """A node, as far as its outbox is tended."""

    engine: Engine
    lock: Lock
    commit: Callable[[Sequence[Record]], None]
    now: Callable[[], Now]

    def wake(self) -> None:
        """Let the reactor look at what has changed."""


def prune(node: Tended) -> int:
    """Stop tracking what every member has; give how many writes that is."""
    with node.lock:
        pruned = sync_state(node.engine).acknowledged_count
        floor = node.engine.floor + pruned
    if pruned:
        node.commit([Pruned(floor)])
    return pruned


def release(node: Tended) -> int:
    """Let go what is held back; give how many writes that is."""
    with node.lock:
        held = sync_state(node.engine).held_count
        top = node.engine.replica.top
    if held:
        node.commit([Released(top)])
        node.wake()
    return held


def requeue_failed(node: Tended) -> int:
    """Try faulted peers again at once; give how many writes only they lack."""
    with node.lock:
        engine = node.engine
        failed = sync_state(engine).failed_count
        engine.delivery.requeue_failed(engine.connections.sessions.values(), node.now())
    node.wake()
    return failed
