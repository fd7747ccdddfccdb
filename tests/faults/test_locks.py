"""The lock of a log between real processes: it holds while its holder lives, and no longer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from softadastra.testing import LocalCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(1, directory=tmp_path) as cluster:
        yield cluster


def tool(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool on a log, as another process."""
    settings = {"SOFTADASTRA_NODE_ID": "node-a", "SOFTADASTRA_WAL_PATH": str(path)}
    return subprocess.run(
        [sys.executable, "-m", "softadastra", *arguments],
        capture_output=True,
        env={**os.environ, **settings},
        text=True,
        timeout=60,
    )


def test_the_log_of_a_living_process_is_refused_and_that_of_a_killed_one_is_not(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    path = tmp_path / "node-a.wal"
    (node,) = cluster.nodes
    node.put("key", "value")
    node.pause()
    refused = tool(path, "store", "get", "key", "--raw")
    node.kill()
    taken = tool(path, "store", "get", "key", "--raw")

    # It does not answer, and its log is not opened behind its back.
    assert (refused.returncode, refused.stdout) == (4, "")
    assert f"node node-a (pid {node.pid}) does not answer" in refused.stderr
    assert (taken.returncode, taken.stdout) == (0, "value")


def test_a_lock_file_that_names_a_process_that_lives_and_does_not_hold_it_is_none(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    """As when the number of a dead holder is given to another process."""
    (node,) = cluster.nodes
    node.put("key", "value")
    node.kill()
    lock = tmp_path / "node-a.wal.lock"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "pid": os.getpid()}))

    node.restart()
    assert node.get("key") == "value"
    assert json.loads(lock.read_text())["pid"] == node.pid
