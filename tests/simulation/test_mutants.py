"""The simulator bites: each mistake in the real code is seen, by the checker that is meant to."""

from __future__ import annotations

import pytest

from softadastra.testing import BrokenPromiseError

from .mutants import MUTANTS, RARE, Mutant
from .run import run


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_is_caught_by_its_checker(mutant: Mutant, monkeypatch):
    mutant.patch(monkeypatch)

    with pytest.raises(BrokenPromiseError) as caught:
        run(mutant.seed)

    assert caught.value.checker == mutant.checker, caught.value


@pytest.mark.parametrize(("words", "patch", "test"), RARE, ids=[words for words, *_ in RARE])
def test_a_mistake_that_few_seeds_show_is_caught_by_a_test_of_its_rule(
    words, patch, test, monkeypatch
):
    patch(monkeypatch)

    with pytest.raises(AssertionError):
        test()
