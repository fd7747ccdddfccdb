"""A sync that fails: the node writes no more, reads go on, nothing that had returned is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from softadastra.errors import InvalidStateError, StorageError
from softadastra.testing import LocalCluster
from tests.faults.tracing import calls_of, traced

ONCE = "inject=fdatasync:error=EIO:when=1"
ALWAYS = "inject=fdatasync:error=EIO"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(1, directory=tmp_path) as cluster:
        yield cluster


@pytest.mark.parametrize("fault", [ONCE, ALWAYS], ids=["once", "always"])
def test_after_one_failed_sync_a_node_writes_no_more_and_reads_go_on(
    tmp_path: Path, cluster: LocalCluster, fault: str
) -> None:
    """Though the next sync would have succeeded: the system may have dropped what it lost."""
    (node,) = cluster.nodes
    node.put("before", 1)
    log = tmp_path / "calls"
    calls = "trace=pwrite64,fdatasync,ftruncate"
    with traced(node.pid, log, "-P", str(tmp_path / "node-a.wal"), "-e", calls, "-e", fault):
        with pytest.raises(StorageError, match="the outcome of the last writes is unknown"):
            node.put("failed", 2)
        for _ in range(3):
            with pytest.raises((StorageError, InvalidStateError), match="open it again"):
                node.put("refused", 3)
        assert node.items() == {"before": 1}
        node.close()

    assert [(call.name, call.result > 0) for call in calls_of(log)] == [
        ("pwrite64", True),
        ("fdatasync", False),
    ]
    node.restart()
    assert node.get("before") == 1
    assert node.items().keys() <= {"before", "failed"}
    assert node.put("after", 4).n > 1
    assert cluster.judge().is_clean


def test_a_sync_that_fails_under_load_loses_nothing_that_had_returned(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    (node,) = cluster.nodes
    for when in range(2, 40, 9):
        log = tmp_path / f"calls-{when}"
        fault = f"inject=fdatasync:error=EIO:when={when}"
        with traced(node.pid, log, "-e", "trace=fdatasync", "-e", fault):
            with pytest.raises(StorageError):
                node.put_many(((f"{when}/{n}", n) for n in range(50)), batch_size=1)
        assert [call.result for call in calls_of(log)].count(-1) == 1
        node.kill()
        node.restart()
        assert node.get(f"{when}/{when - 2}") == when - 2

    assert cluster.judge().is_clean
