"""Random clusters under random faults keep every promise, the same way each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .run import run

SEEDS = range(20)

REGRESSIONS = [
    line.split(maxsplit=1)
    for line in Path(__file__).with_name("regressions.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cluster_under_faults_converges_and_keeps_every_write(seed):
    assert run(seed).writes > 0


@pytest.mark.parametrize(("seed", "cause"), REGRESSIONS)
def test_a_seed_that_once_failed_passes(seed, cause):
    assert run(int(seed)).writes > 0, cause


def test_a_seed_gives_the_same_trace_whatever_the_hash_seed():
    traces = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "4", "--verbose"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert len(traces[0].splitlines()) > 100
    assert traces[0] == traces[1]
