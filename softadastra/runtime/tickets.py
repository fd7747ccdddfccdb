"""What one caller wants committed, and what became of it, while callers commit for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from softadastra.errors import SoftadastraError, StorageError
from softadastra.store.writes import Assigned, Assignment
from softadastra.sync.records import Record

__all__ = ["Ticket", "copy_of", "is_alone_on_its_keys"]


class Ticket:
    """What one caller wants committed."""

    __slots__ = (
        "asked",
        "error",
        "followers",
        "gate",
        "guard",
        "is_begun",
        "is_done",
        "is_exclusive",
        "records",
        "results",
    )

    def __init__(
        self,
        asked: Sequence[Assignment],
        records: Sequence[Record],
        guard: Callable[[], bool] | None = None,
        *,
        is_exclusive: bool = False,
    ) -> None:
        self.asked = asked
        self.records = records
        self.guard = guard
        """Whether it is still to be done, asked when it is decided."""
        self.is_exclusive = is_exclusive
        """Whether its caller does something of its own before it commits its group."""
        self.results: list[Assigned | None] = []
        self.error: BaseException | None = None
        self.gate: Lock | None = None
        """What its caller waits at while another one commits."""
        self.followers: list[Ticket] | None = None
        """The tickets that its caller commits along with it; None: another one commits it.

        It is not among them: a cycle would leave each write, and all that a batch holds, to a
        search for garbage."""
        self.is_begun = False
        """Whether its caller, leading, has changed the log or the state, or may have."""
        self.is_done = False
        """Whether its results or its error are there."""

    @property
    def group(self) -> list[Ticket]:
        """The tickets that its caller, leading, commits: itself the first."""
        assert self.followers is not None, "it is committed by another one"
        return [self, *self.followers]


def copy_of(error: SoftadastraError) -> SoftadastraError:
    """Give another waiter's exception for the same failure."""
    if isinstance(error, StorageError):
        return StorageError(
            error.message, errno=error.errno, filename=error.filename, **error.context
        )
    return type(error)(error.message, **error.context)


def is_alone_on_its_keys(guarded: Ticket, group: list[Ticket]) -> bool:
    """Whether nobody else in a group writes a key of this one."""
    keys = {assignment[0] for assignment in guarded.asked}
    others = (a[0] for ticket in group if ticket is not guarded for a in ticket.asked)
    return keys.isdisjoint(others)
