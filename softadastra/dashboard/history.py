"""How the outbox stood during the last minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Self

from softadastra.types import SyncState

__all__ = ["History", "Sample"]

KEPT_MS: Final = 15 * 60 * 1000
"""A quarter of an hour: what somebody who is called to it asks for first."""

SAMPLES_MAX: Final = 1_000
"""One a second for as long; 60 bytes each on the wire."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The outbox at one moment."""

    at_ms: int
    """The wall clock, in milliseconds since 1970."""
    held: int
    queued: int
    in_flight: int
    failed: int

    @classmethod
    def of(cls, at_ms: int, state: SyncState) -> Self:
        """Take what is counted of the outbox; what all peers have is no burden and is left out."""
        return cls(
            at_ms,
            state.held_count,
            state.queued_count,
            state.in_flight_count,
            state.failed_count,
        )

    @property
    def row(self) -> list[int]:
        """The fields, in their order."""
        return [self.at_ms, self.held, self.queued, self.in_flight, self.failed]


class History:
    """The samples of the last quarter of an hour, at most 1,000."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)

    def add(self, sample: Sample) -> None:
        """Keep a sample, and no older ones than a quarter of an hour.

        Where the clock was set back, those of then are in the future, and go too.
        """
        samples = self._samples
        while samples and not sample.at_ms - KEPT_MS <= samples[0].at_ms <= sample.at_ms:
            samples.popleft()
        samples.append(sample)

    @property
    def rows(self) -> list[list[int]]:
        """Each sample's fields, the oldest first."""
        return [sample.row for sample in self._samples]
