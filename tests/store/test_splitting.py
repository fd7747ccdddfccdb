"""A branch of a history gets a name of its own."""

from __future__ import annotations

import pytest

from softadastra.store.changes import OWN
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.replica import Replica
from softadastra.store.splitting import Split, split


@pytest.mark.parametrize("is_own", [False, True])
def test_what_was_known_of_a_branch_under_its_new_name_stays_known(is_own):
    """Another node renamed it earlier, and it has gone on since, with another life."""
    replica = Replica("b" if is_own else "a", 1)
    branch = replica.origins.number(Origin("b", 1))
    named = replica.origins.number(Origin("b", 9))
    for n in (1, 2, 3):
        replica.logs[branch].add(n, f"k{n}")
    replica.lives[branch] = [Life(3, 9)]
    for n in (1, 2, 3, 4, 5, 6):
        replica.logs[named].add(n, f"m{n}")
    replica.lives[named] = [Life(5, 12)]
    replica.named[named] = 8

    split(replica, Split(Origin("b", 1), 2, 9))

    moved = OWN if is_own else replica.origins.number(Origin("b", 9))
    kept = replica.origins.number(Origin("b", 1))
    assert (replica.logs[kept].base, replica.logs[moved].base) == (2, 6)
    assert replica.history(moved) == [Life(0, 9), Life(1, 9), Life(5, 12)]
    assert replica.history(kept) == [Life(0, 1), Life(1, 1)]
    assert (replica.reach(kept), replica.reach(moved)) == (2, 8)
