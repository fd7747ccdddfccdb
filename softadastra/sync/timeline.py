"""When this node's own writes were made, also of those that are overwritten by now.

A value that stands has its stamp. The index keeps no stamp of a write that was superseded, and how
long a peer lags is how old the first write is that it lacks, whatever became of its key. So now and
then a write and its stamp are noted: about once a second, and the older the fewer. A thousand of
them are enough to know when a write of months ago was made to a sixteenth of its age.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from operator import itemgetter
from typing import Final

from softadastra.store.changes import OwnWrites
from softadastra.store.siblings import siblings_of

__all__ = ["Timeline"]

STEP: Final = 1_000 << 16
"""At least so much lies between two marks, as a stamp: a second."""
MARKS_MAX: Final = 1_024
"""Half of them are left of a year when they are thinned, so that this is seldom done."""
SHARE: Final = 16
"""Of its age, so much is how far a mark may be from the next one when some have to go."""
GROUP_MARKS: Final = 64
"""Of the writes of one record, which replay makes of some thousand, at most so many are looked at.
"""


class Timeline:
    """The stamps of some of this node's writes. Lost with what a rewritten log leaves out."""

    __slots__ = ("_marks", "due")

    def __init__(self) -> None:
        self._marks: list[tuple[int, int]] = []
        """(number, stamp) of writes. Invariant: both rise."""
        self.due = 0
        """From which clock on the next record is to be marked: the one test that a write costs."""

    def mark(self, writes: OwnWrites) -> None:
        """Note when writes were made whose clock has come to `due`."""
        stride = max(1, len(writes.keys) // GROUP_MARKS)
        numbered = enumerate(writes.states, writes.first)
        for number, state in islice(numbered, 0, None, stride):
            stamp = siblings_of(state)[0][2]
            if stamp >= self.due:
                self._marks.append((number, stamp))
                self.due = stamp + STEP
        if len(self._marks) > MARKS_MAX:
            self._thin()

    def stamp_of(self, number: int) -> int | None:
        """Give the stamp of the last marked write up to this one; None when none is known.

        That is never later than the write itself was made, and at most a second earlier, or a
        sixteenth of how old it is.
        """
        position = bisect_right(self._marks, number, key=itemgetter(0))
        return self._marks[position - 1][1] if position else None

    def renumber(self, after: int) -> None:
        """Let the writes behind this one count from 1, as when a history splits."""
        self._marks = [(number - after, stamp) for number, stamp in self._marks if number > after]

    def _thin(self) -> None:
        """Leave out marks between two that are as close together as their age allows."""
        marks = self._marks
        newest = marks[-1][1]
        kept = [marks[-1]]
        for mark, older in zip(marks[-2::-1], marks[-3::-1], strict=False):
            if kept[-1][1] - older[1] > max(STEP, (newest - older[1]) // SHARE):
                kept.append(mark)
        kept.append(marks[0])
        self._marks = kept[::-1]
