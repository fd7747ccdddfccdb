"""A system that takes a part of each write: the rest is written behind it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from softadastra.testing import LocalCluster, wait_until
from tests.faults.requirements import need_tool
from tests.faults.tracing import calls_of, traced

DEADLINE_SECONDS = 30.0
WRITES = 200
KEYS = 5


@pytest.fixture
def short_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each pwrite of a process that starts the C library asks for a random part only."""
    need_tool("fiu-run", "fiu-utils")
    shown = subprocess.run(
        ["fiu-run", "-f", "", "-x", "-c", "enable name=posix/io/rw/pwrite/reduce", "env", "-0"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    for variable in shown.stdout.split("\0"):
        name, _, value = variable.partition("=")
        if name in ("LD_PRELOAD", "FIU_ENABLE"):
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("short_writes")
def test_records_that_the_system_takes_in_pieces_are_whole_also_while_the_log_is_rewritten(
    tmp_path: Path,
) -> None:
    log = tmp_path / "calls"
    with LocalCluster(1, directory=tmp_path) as cluster:
        (node,) = cluster.nodes
        with traced(node.pid, log, "-e", "trace=pwrite64"):
            node.put_many(((f"key/{n % KEYS}", f"{n}" * 300) for n in range(WRITES)), batch_size=1)
        events = tmp_path / "node-a.log"
        assert wait_until(lambda: "wal.compacted" in events.read_text(), DEADLINE_SECONDS)
        node.kill()
        node.restart()

        assert node.size() == KEYS
        assert cluster.judge().is_clean
    assert len(calls_of(log)) > 3 * WRITES
