"""Who is shut out for what it sent: three bad messages within a minute, and nobody listens.

The first time for a minute, then for twice as long as the last time, up to an hour. An hour in good
order, and all is forgotten. A bad message is one that no node sends by mistake of its people: bytes
that are no message, or several frames. A lost greeting, another cluster or another policy
is none.

A stranger must not be able to shut out somebody else, so what is counted is what he cannot forge:

- `PROVED`: with security, the node whose key was proved.
- `DIALLED`: without, the address that this node dialled. Nobody else can listen there.
- `CLAIMED`: without, of who dialled this node: the name that it greeted with, together with the
  host that it came from. A name costs nothing. So whoever shows to be a process that had been
  connected by it for a while, in good order, is let in all the same: its nonce is known to those
  alone whom it greeted. And the addresses of the name are dialled as ever.

What comes from a host before a greeting is counted against nobody: whoever else lives there would
pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

__all__ = [
    "BAD_MESSAGES_MAX",
    "CULPRITS_MAX",
    "EXCLUSION_MAX_MS",
    "EXCLUSION_MIN_MS",
    "FORGIVEN_AFTER_MS",
    "GOOD_AFTER_MS",
    "GOOD_PROCESSES_MAX",
    "WINDOW_MS",
    "Culprit",
    "Exclusion",
    "Exclusions",
    "Known",
]

BAD_MESSAGES_MAX: Final = 3
"""So many within WINDOW_MS shut their sender out. DESIGN.md section 8."""
WINDOW_MS: Final = 60_000
EXCLUSION_MIN_MS: Final = 60_000
EXCLUSION_MAX_MS: Final = 3_600_000
FORGIVEN_AFTER_MS: Final = 3_600_000
"""In good order since the last bad message, or the end of the exclusion: as long as the longest."""
CULPRITS_MAX: Final = 1_024
"""Remembered at most; four for each peer that can be known. Who is shut out stays longest."""
GOOD_AFTER_MS: Final = 60_000
"""A connection that lasted for so long shows its process to be a good one."""
GOOD_PROCESSES_MAX: Final = 4
"""Of one name: a stranger would have to pass for it that often, for a minute each, to be taken for
the only process that it ever had."""


class Known(Enum):
    """By what a sender is known; the module's docstring says why."""

    PROVED = "proved"
    DIALLED = "dialled"
    CLAIMED = "claimed"


class Culprit(NamedTuple):
    """Who sent a bad message, as far as it can be told."""

    by: Known
    node_id: str
    place: str
    """DIALLED: the address; CLAIMED: the host; PROVED: empty, the key counts wherever it is."""


class Exclusion(NamedTuple):
    """What is left of one."""

    left_ms: int
    reason: str
    """What the last bad message was."""

    @property
    def words(self) -> str:
        """Say it to people."""
        return (
            f"shut out for {-(-self.left_ms // 1000)} s, after {BAD_MESSAGES_MAX} bad messages in"
            f" a minute; the last one: {self.reason}"
        )


@dataclass(slots=True)
class _Record:
    """What one culprit did."""

    bad_ms: list[int] = field(default_factory=list)
    """When its bad messages of the last minute came. Invariant: fewer than BAD_MESSAGES_MAX."""
    nonces: list[int] = field(default_factory=list)
    """Processes that sent one, the last BAD_MESSAGES_MAX of them."""
    reason: str = ""
    until_ms: int = 0
    length_ms: int = 0
    """Of the last exclusion; 0: there was none."""


class Exclusions:
    """What was sent that must not be, by whom, and for how long nobody listens."""

    __slots__ = ("_good", "_records")

    def __init__(self) -> None:
        self._records: dict[Culprit, _Record] = {}
        """In the order of their last bad message."""
        self._good: dict[str, list[int]] = {}
        """Name -> nonces of the last good processes that were connected by it."""

    def offend(self, culprit: Culprit, reason: str, now_ms: int, nonce: int | None) -> int | None:
        """Note a bad message.

        Args:
            culprit: who sent it.
            reason: what is wrong with it, in words.
            now_ms: the monotonic time, as in every call here.
            nonce: of the process that it greeted as; None: it did not.

        Returns:
            For how many milliseconds it is shut out, when that begins now.
        """
        record = self._records.pop(culprit, None)
        if record is None or self._is_forgiven(record, now_ms):
            record = _Record()
        self._make_room(now_ms)
        self._records[culprit] = record
        record.reason = reason
        if nonce is not None:
            # The last ones are enough: a liar who draws a nonce each time is nobody's good process.
            record.nonces = [*record.nonces, nonce][-BAD_MESSAGES_MAX:]
            good = self._good.get(culprit.node_id, [])
            if nonce in good:
                good.remove(nonce)
        if now_ms < record.until_ms:
            return None
        record.bad_ms = [at_ms for at_ms in record.bad_ms if now_ms - at_ms < WINDOW_MS]
        record.bad_ms.append(now_ms)
        if len(record.bad_ms) < BAD_MESSAGES_MAX:
            return None
        record.bad_ms = []
        record.length_ms = min(max(2 * record.length_ms, EXCLUSION_MIN_MS), EXCLUSION_MAX_MS)
        record.until_ms = now_ms + record.length_ms
        return record.length_ms

    def of(self, culprit: Culprit, now_ms: int, nonce: int | None = None) -> Exclusion | None:
        """Give what is left of somebody's exclusion; None when it is not shut out.

        Args:
            culprit: who.
            now_ms: the time.
            nonce: of the process that greets; a good one is let in.
        """
        record = self._records.get(culprit)
        if record is None or now_ms >= record.until_ms:
            return None
        is_vouched = culprit.by is Known.CLAIMED and nonce in self._good.get(culprit.node_id, ())
        return None if is_vouched else Exclusion(record.until_ms - now_ms, record.reason)

    def all(self, now_ms: int) -> Iterator[tuple[Culprit, Exclusion]]:
        """Give who is shut out."""
        for culprit, record in self._records.items():
            if now_ms < record.until_ms:
                yield culprit, Exclusion(record.until_ms - now_ms, record.reason)

    def vouch(self, node_id: str, nonce: int, lasted_ms: int) -> None:
        """Note which process was connected by a name, and for how long."""
        if lasted_ms < GOOD_AFTER_MS:
            return
        if any(
            culprit.node_id == node_id and nonce in record.nonces
            for culprit, record in self._records.items()
        ):
            return
        others = [each for each in self._good.pop(node_id, []) if each != nonce]
        self._good[node_id] = [*others, nonce][-GOOD_PROCESSES_MAX:]
        if len(self._good) > CULPRITS_MAX:
            del self._good[next(iter(self._good))]

    def pardon(self, node_id: str) -> None:
        """Forget what was done by a name, or at its addresses: people want to hear it again."""
        for culprit in [c for c in self._records if c.node_id == node_id]:
            del self._records[culprit]

    def _make_room(self, now_ms: int) -> None:
        """Forget one when there are too many: of those who are free the one quiet for longest."""
        if len(self._records) < CULPRITS_MAX:
            return
        free = (c for c, record in self._records.items() if now_ms >= record.until_ms)
        soonest = min(self._records, key=lambda culprit: self._records[culprit].until_ms)
        del self._records[next(free, soonest)]

    @staticmethod
    def _is_forgiven(record: _Record, now_ms: int) -> bool:
        last_ms = max(record.until_ms, *record.bad_ms) if record.bad_ms else record.until_ms
        return now_ms - last_ms >= FORGIVEN_AFTER_MS
