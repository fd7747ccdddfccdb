"""Settles conflicts as their policies say; in a node, in a thread of its own.

A function of the application may be slow, wait for locks, or raise: the reactor goes on. If it
raises, the key stays a conflict that somebody resolves by hand, until one of its writes changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Timer

from softadastra.errors import SoftadastraError
from softadastra.runtime.commit import Committer
from softadastra.runtime.lookout import Lookout
from softadastra.store.policies import Policy
from softadastra.store.siblings import RESOLUTION, Sibling, siblings_of
from softadastra.store.writes import Assignment
from softadastra.sync.notices import Level
from softadastra.sync.resolution import Unsettled, kept_value, unsettled

__all__ = ["Settler", "Settling"]

SLOW_SECONDS = 1.0
"""A function that takes longer is told of while it runs, and when it returns: every conflict behind
it waits."""

STOP_MAX_SECONDS = 0.5


class Settling:
    """Settles one node's conflicts when it is told to. One caller at a time.

    Args:
        committer: the node's state.
        write: writes a settlement if the conflict is still the same, as `Committer.write`.
        merge: makes one packed value of a key's siblings, the greatest first.
        settled: called after a settling write, so that it is sent, and when there is something to
            tell.
    """

    def __init__(
        self,
        committer: Committer,
        *,
        write: Callable[[Sequence[Assignment], Callable[[], bool]], object],
        merge: Callable[[str, Sequence[Sibling]], bytes],
        settled: Callable[[], None],
    ) -> None:
        self.is_stopping = False
        """Whether to leave the rest as it is."""
        self.watched: Callable[[str], AbstractContextManager[object]] = nullcontext
        """Looks after a function while it merges a key: it may never return."""
        self._committer = committer
        self._engine = committer.engine
        self._write_settlement = write
        self._merge = merge
        self._settled = settled
        self._given_up: dict[str, tuple[Sibling, ...]] = {}
        """Key -> the siblings that could not be merged."""

    def settle(self) -> bool:
        """Settle what there is now.

        Returns:
            Whether to look again, because a conflict changed while it was settled.
        """
        with self._committer.lock:
            conflicts = [
                conflict
                for conflict in unsettled(self._engine.replica)
                if self._given_up.get(conflict.key) != conflict.siblings
            ]
        has_changed = False
        for conflict in conflicts:
            if self.is_stopping:
                break
            value = self._value(conflict)
            if value is not None and not self._write(conflict, value):
                has_changed = True
        return has_changed

    def _value(self, conflict: Unsettled) -> bytes | None:
        if conflict.policy is not Policy.MERGE:
            return kept_value(conflict, self._engine.replica.me)
        note = self._engine.notices.note
        began = time.monotonic()
        try:
            with self.watched(conflict.key):
                return self._merge(conflict.key, conflict.siblings[::-1])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the application's own, of any kind
            self._given_up[conflict.key] = conflict.siblings
            note(Level.WARNING, "conflict.unmerged", key=conflict.key, error=repr(error))
            return None
        finally:
            seconds = time.monotonic() - began
            if seconds > SLOW_SECONDS:
                self.note_delay(conflict.key, seconds)

    def note_delay(self, key: str, seconds: float) -> None:
        """Have it told for how long a function has merged a key by now."""
        facts = {"key": key, "seconds": round(seconds, 3)}
        self._engine.notices.note(Level.WARNING, "merge.delayed", **facts)
        self._settled()

    def _write(self, conflict: Unsettled, value: bytes) -> bool:
        """Write a settlement; give False when the conflict is another one by now.

        What a function made is a write like any other: two of them are merged again. Of two that
        keep a value as a policy says the greater one counts, and the other is as good.
        """

        def is_unchanged() -> bool:
            # Of something newer this value is no settlement.
            state = self._engine.replica.entries.get(conflict.key)
            return siblings_of(state) == conflict.siblings

        try:
            flags = 0 if conflict.policy is Policy.MERGE else RESOLUTION
            is_done = bool(self._write_settlement([(conflict.key, value, flags)], is_unchanged))
        except SoftadastraError:
            # The commit has told of it. The conflict stays, and is looked at with the next one.
            return True
        if is_done:
            self._settled()
        return is_done


class Settler(Lookout):
    """Settles one node's conflicts in a thread of its own.

    Args:
        settling: what it does.
    """

    def __init__(self, settling: Settling) -> None:
        super().__init__("softadastra-settler", stop_max_seconds=STOP_MAX_SECONDS)
        self._settling = settling
        settling.watched = self._watched

    @contextmanager
    def _watched(self, key: str) -> Iterator[None]:
        timer = Timer(SLOW_SECONDS, self._settling.note_delay, (key, SLOW_SECONDS))
        timer.name, timer.daemon = "softadastra-settler-watch", True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def stop(self) -> None:
        """End the thread; a function that does not return is left behind."""
        self._settling.is_stopping = True
        super().stop()

    def _look(self) -> float | None:
        return 0.0 if self._settling.settle() else None
