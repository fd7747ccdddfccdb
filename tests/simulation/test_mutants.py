"""The simulator bites: each mistake in the real code is seen, by the checker that is meant to."""

from __future__ import annotations

import pytest

from softadastra.testing import BrokenPromiseError

from .mutants import MUTANTS, Mutant
from .run import run


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_is_caught_by_its_checker(mutant: Mutant, monkeypatch):
    mutant.patch(monkeypatch)

    with pytest.raises(BrokenPromiseError) as caught:
        run(mutant.seed)

    assert caught.value.checker == mutant.checker, caught.value
