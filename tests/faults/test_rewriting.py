"""A log that is being rewritten, killed or failed at each of the calls that this takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from softadastra.errors import InvalidStateError, StorageError, TransportError
from softadastra.testing import LocalCluster, LocalNode, ProcessState, wait_until
from tests.faults.tracing import calls_of, traced

DEADLINE_SECONDS = 30.0
CALLS = "trace=openat,unlink,pwrite64,ftruncate,fdatasync,rename,fsync"
KEYS = 5
PADDING = "v" * 1_000
WRITES = 400
"""After 85 of them the log is rewritten."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(1, directory=tmp_path) as cluster:
        yield cluster


def overwrite(node: LocalNode, *, run: int = 0) -> None:
    pairs = ((f"key/{n % KEYS}", f"{run}/{n}{PADDING}") for n in range(WRITES))
    node.put_many(pairs, batch_size=1)


def test_a_process_that_is_killed_at_any_call_of_a_compaction_loses_nothing(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    (node,) = cluster.nodes
    log = tmp_path / "calls"
    with traced(node.pid, log, "-e", CALLS, but_main_thread=True):
        overwrite(node)
    names = [call.name for call in calls_of(log)]
    end = names.index("fsync") + 1
    assert "rename" in names[:end]

    runs = count(1)
    for name, calls_count in Counter(names[:end]).items():
        for when in range(1, calls_count + 1):
            fault = f"inject={name}:signal=SIGKILL:when={when}"
            with traced(node.pid, log, "-e", CALLS, "-e", fault, but_main_thread=True):
                with pytest.raises((TransportError, InvalidStateError)):
                    overwrite(node, run=next(runs))
            assert wait_until(lambda: node.state is ProcessState.KILLED, DEADLINE_SECONDS)
            node.restart()
            assert cluster.judge().is_clean


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "rename"])
def test_when_a_call_of_a_compaction_fails_the_old_log_goes_on(
    tmp_path: Path, cluster: LocalCluster, call: str
) -> None:
    (node,) = cluster.nodes
    events = tmp_path / "node-a.log"
    new = tmp_path / "node-a.wal.new"
    fault = f"inject={call}:error=EIO"
    with traced(node.pid, tmp_path / "calls", "-P", str(new), "-e", CALLS, "-e", fault):
        overwrite(node)
        assert "compaction.failed" in events.read_text()
        assert "wal.compacted" not in events.read_text()
    assert wait_until(lambda: not new.exists(), DEADLINE_SECONDS)
    overwrite(node, run=1)
    assert wait_until(lambda: "wal.compacted" in events.read_text(), DEADLINE_SECONDS)
    node.kill()
    node.restart()
    assert cluster.judge().is_clean


def test_when_the_name_of_a_rewritten_log_cannot_be_synced_the_node_writes_no_more(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    """A power cut could bring back the old file, without what is written from then on."""
    (node,) = cluster.nodes
    fault = "inject=fsync:error=EIO"
    with traced(node.pid, tmp_path / "calls", "-e", CALLS, "-e", fault):
        with pytest.raises((StorageError, InvalidStateError), match="open it again"):
            overwrite(node)
    with pytest.raises((StorageError, InvalidStateError), match="open it again"):
        node.put("refused", 1)
    assert node.size() == KEYS

    node.kill()
    node.restart()
    assert node.get("refused") is None
    assert cluster.judge().is_clean
