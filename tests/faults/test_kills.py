"""kill -9 at random moments under load: what returned is there, of a batch all or nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.recorder import recorded
from tests.faults.writer import Load

KILLS = 100
"""Of each load, 200 in all."""

GROWING = Load(keys=400, value_bytes_max=400)
REWRITTEN = Load(keys=4, value_bytes_max=10_000)
"""So few keys that the log is rewritten every few writes."""
LOADS = pytest.mark.parametrize("load", [GROWING, REWRITTEN], ids=["growing", "rewritten"])


@LOADS
def test_what_had_returned_when_its_process_was_killed_at_a_random_moment_is_there(
    tmp_path: Path, load: Load
) -> None:
    """The system keeps what a killed process wrote; what a power cut takes is tested beside."""
    rng = random.Random(load.keys)
    path = tmp_path / "a.wal"
    with recorded(path, load=load, held_path=tmp_path / "held.json") as recorder:
        for _ in range(KILLS):
            recorder.begin()
            recorder.listen_to_a_random_moment(rng)
            recorder.kill()
        recorder.check_what_is_left()

    assert recorder.opened_count > KILLS / 2
    assert recorder.answered_count > 10 * KILLS
    assert recorder.generation > (0 if load is GROWING else KILLS / 4)
