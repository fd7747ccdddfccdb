"""Power cuts at random moments under load: what had returned is there when the disk is back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions
from tests.faults.mounts import loop_mount
from tests.faults.recorder import recorded
from tests.faults.test_kills import GROWING, LOADS
from tests.faults.writer import Load

CUTS = 40


@LOADS
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_had_returned_when_the_power_was_cut_at_a_random_moment_is_there(
    tmp_path: Path, kind: str, load: Load
) -> None:
    """Each cut loses what the file system had not been told to sync, as a new file's name."""
    rng = random.Random(load.keys)
    with loop_mount(kind, tmp_path) as mounted:
        path = mounted.path / "data" / "a.wal"
        with recorded(path, load=load, held_path=tmp_path / "held.json") as recorder:
            for _ in range(CUTS):
                recorder.begin()
                recorder.listen_to_a_random_moment(rng)
                # The process first: while ext4 goes down, a sync that is under way may return as if
                # it had succeeded (bare pwrite and fdatasync show it too). Power that fails ends
                # whoever would be told.
                recorder.send_kill()
                mounted.cut_power()
                recorder.wait_killed()
                mounted.unmount()
                mounted.mount()
            recorder.check_what_is_left()
        generation = recorder.generation

    assert recorder.opened_count > CUTS / 2
    assert recorder.answered_count > 10 * CUTS
    assert generation > (0 if load is GROWING else CUTS / 4)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_power_cut_takes_what_was_not_synced_and_no_more(tmp_path: Path, kind: str) -> None:
    """Else the cuts above would show nothing."""
    with loop_mount(kind, tmp_path) as mounted:
        options = ClientOptions.fast("a", mounted.path / "a.wal", flush_interval=3600.0)
        with Client(options) as client:
            client.put("synced", 1)
        client.open()
        client.put("unsynced", 2)
        mounted.cut_power()
        client.close()
        mounted.unmount()
        mounted.mount()
        with Client(options) as client:
            assert dict(client) == {"synced": 1}
