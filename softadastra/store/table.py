"""The table of all entries."""

from __future__ import annotations

from softadastra.store.siblings import State

__all__ = ["Table"]


class Table(dict[str, State]):
    """The entries by key.

    A plain dict would be looked through by each search for garbage of the youngest objects: CPython
    takes a dict out of its lists when it finds nothing in it that it looks for, and puts it among
    the youngest when a new tuple comes in (`PyDict_SetItem`, `untrack_dicts`). With 300,000 keys
    that took 7 ms of whichever put came upon it, twice after each full search. This one stays
    where it is, and only a full search goes through it.
    """

    __slots__ = ()
