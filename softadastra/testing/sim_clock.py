"""A simulated node's clocks: one crystal that drifts, and a wall clock that can be set.

The monotonic clock never falls, whatever is done to the wall clock.
"""

from __future__ import annotations

from typing import Final

from softadastra.errors import InvalidArgumentError
from softadastra.sync.settings import Now
from softadastra.testing.sim_schedule import Schedule

__all__ = ["EPOCH_MS", "SimClock"]

EPOCH_MS: Final = 1_700_000_000_000
"""The wall clock of every node when a world begins, in milliseconds since 1970."""

PARTS: Final = 1_000_000
"""A drift is given in parts per million."""

DRIFT_MAX: Final = 500_000
"""Half as fast, or half as fast again: a thousand times what crystals do."""


class SimClock:
    """The clocks of one machine.

    Args:
        schedule: the world's time.
    """

    __slots__ = ("_drift", "_mono_ms", "_now", "_offset_ms", "_read_ms", "_schedule", "_since_ms")

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._since_ms = schedule.now_ms
        """World time of the last change of the drift."""
        self._mono_ms = schedule.now_ms
        """The monotonic clock then."""
        self._drift = 0
        self._offset_ms = EPOCH_MS
        """The wall clock minus the monotonic one."""
        self._read_ms = -1
        """World time of the last reading, -1 when a change has made it wrong."""
        self._now = Now(0, 0)
        """What it was: a turn reads the clocks many times, and takes no time."""

    def now(self) -> Now:
        """Read both clocks."""
        world_ms = self._schedule.now_ms
        if self._read_ms != world_ms:
            elapsed_ms = world_ms - self._since_ms
            mono_ms = self._mono_ms + elapsed_ms * (PARTS + self._drift) // PARTS
            self._now = Now(mono_ms, mono_ms + self._offset_ms)
            self._read_ms = world_ms
        return self._now

    def jump(self, milliseconds: int) -> None:
        """Set the wall clock forward, or back when negative."""
        self._offset_ms += milliseconds
        self._read_ms = -1

    def drift(self, parts_per_million: int) -> None:
        """Let both clocks run faster from now on, or slower when negative.

        Raises:
            InvalidArgumentError: beyond DRIFT_MAX.
        """
        if abs(parts_per_million) > DRIFT_MAX:
            raise InvalidArgumentError(
                f"a drift is at most {DRIFT_MAX} parts per million, got {parts_per_million}"
            )
        self._mono_ms = self.now().mono_ms
        self._since_ms = self._schedule.now_ms
        self._drift = parts_per_million
        self._read_ms = -1

    def world_delay_ms(self, delay_ms: int) -> int:
        """Give after how long in the world this much has passed here, rounded up."""
        # One more for the fraction of a millisecond that the floor in `now` may hide.
        return -(-delay_ms * PARTS // (PARTS + self._drift)) + (self._drift != 0)
