"""Entries of one sibling as columns: a column that is regular shrinks to its first number.

So that thousands of entries become siblings by one `zip`, and most columns take a byte.
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Columns", "shrunk"]

Columns: TypeAlias = tuple[list[int], list[int], list[int], list[int], list[bytes], list[int]]
"""Origins, numbers, stamps, versions, values and flags."""


def shrunk(columns: Columns) -> list[Any]:
    """Give origins, numbers, least stamp, stamps less that, versions, values, flags."""
    origins, numbers, stamps, versions, values, flags = columns
    base = min(stamps, default=0)
    rows = len(values)
    return [
        origins[0] if rows and len(set(origins)) == 1 else origins,
        numbers[0] if rows and numbers == list(range(numbers[0], numbers[0] + rows)) else numbers,
        base,
        0 if rows and max(stamps) == base else [stamp - base for stamp in stamps],
        versions[0] if rows and len(set(versions)) == 1 else versions,
        values,
        flags[0] if rows and len(set(flags)) == 1 else flags,
    ]
