"""Threads that write at once are waited for, unless one of them fails."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from .threads import Put, rate_together


@pytest.mark.parametrize("failing", ["bench/00000000000000003", "opening"])
def test_a_thread_that_fails_ends_the_measurement(failing: str) -> None:
    def put(key: str, _: str) -> None:
        if key == failing:
            raise OSError("no space left on device")

    def opened() -> nullcontext[Put]:
        if failing == "opening":
            raise OSError("no space left on device")
        return nullcontext(put)

    with pytest.raises(RuntimeError, match="has failed") as raised:
        rate_together(8, 4, opened)

    assert isinstance(raised.value.__cause__, OSError)


def test_all_shares_are_put_once() -> None:
    found: list[str] = []

    assert rate_together(9, 4, lambda: nullcontext(lambda key, _: found.append(key))) > 0
    assert sorted(found) == [f"bench/{number:017d}" for number in range(9)]
