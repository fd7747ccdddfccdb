"""The log stays small by itself, while writes go on, and nothing is lost by it."""

from __future__ import annotations

import errno
import random
import sys
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from softadastra import (
    Client,
    ClientOptions,
    SoftadastraError,
    StorageError,
    WalCorruptionError,
    configure_logging,
)
from softadastra.inspection import read_log
from softadastra.runtime.compaction import AT_ONCE_BYTES, Compaction
from softadastra.store.policies import LAST_WRITE_WINS
from softadastra.testing import LocalCluster, wait_until
from softadastra.wal.rewriting import Rewrite
from softadastra.wal.salvaging import Frame
from tests.engines import OPTIONS
from tests.test_processes import kill_while_writing

KEYS = 500
VALUE = "v" * 100
DEADLINE_SECONDS = 30.0


def overwrite(client: Client, writes: int, *, name: str = "") -> dict[str, str]:
    """Write the same keys over and over; give what they hold at last."""
    held = {}
    for i in range(writes):
        key = f"key{name}/{i % KEYS}"
        held[key] = f"{VALUE}{i}"
        client.put(key, held[key])
    return held


def compaction_of(client: Client) -> Compaction:
    assert client._node is not None
    assert client._node._compactor is not None
    return client._node._compactor.compaction


def is_settled(path: Path, limit_bytes: int) -> bool:
    return path.stat().st_size < limit_bytes and not path.with_suffix(".wal.new").exists()


@pytest.mark.parametrize("size", [1, 50], ids=["puts", "batches"])
def test_a_log_of_overwrites_stays_within_four_times_what_is_alive(
    tmp_path: Path, size: int
) -> None:
    """At every moment: who writes without a sync writes faster than it is rewritten."""
    path = tmp_path / "a.wal"
    writes = 20 * 1_000
    rows = [(f"key/{i % 1_000}", f"{VALUE * 5}{i}") for i in range(writes)]
    held = dict(rows)
    live_bytes = sum(len(key) + len(value) for key, value in held.items())
    peak_bytes = 0
    with Client(ClientOptions.fast("a", path)) as client:
        for start in range(0, writes, size):
            with client.batch() as batch:
                for key, value in rows[start : start + size]:
                    batch.put(key, value)
            peak_bytes = max(peak_bytes, path.stat().st_size)
        digest = client.digest()
        assert wait_until(lambda: is_settled(path, 4 * live_bytes), DEADLINE_SECONDS)
    assert peak_bytes < 4 * live_bytes

    with Client(ClientOptions.fast("a", path)) as client:
        assert dict(client) == held
        assert client.digest() == digest
        assert client.sync_state().last_submitted_version == writes
        assert client.put("next", 1).sync_id == f"a-{writes + 1}"


def test_when_nobody_rewrites_the_log_any_more_nobody_waits_for_that(tmp_path: Path) -> None:
    """As when a bug has ended that thread: writes go on as fast as before."""
    slept: list[float] = []
    with Client(ClientOptions.fast("a", tmp_path / "a.wal")) as client:
        assert client._node is not None
        assert client._node._compactor is not None
        size = client._node.committer.size
        size.sleep = slept.append
        assert wait_until(lambda: size.due < sys.maxsize, DEADLINE_SECONDS)
        client._node._compactor.stop()
        overwrite(client, 10_000)

    assert slept == []


def test_removed_keys_leave_the_log_of_a_node_without_peers(tmp_path: Path) -> None:
    """As with a queue: else it would grow for ever."""
    path = tmp_path / "a.wal"
    with Client(ClientOptions.fast("a", path)) as client:
        for i in range(5_000):
            client.put(f"job/{i}", VALUE)
            client.remove(f"job/{i}")
        client.compact()
        assert client.is_empty
        assert path.stat().st_size < 2**16
    with Client(ClientOptions.fast("a", path)) as client:
        assert client.is_empty
        assert client.put("job/next", 1).sync_id == "a-10001"


def test_a_compacted_log_is_opened_by_what_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "a.wal"
    log_file = tmp_path / "events.jsonl"
    with Client(ClientOptions.fast("a", path)) as client:
        held = overwrite(client, 10 * KEYS)
        client.compact()
    size_bytes = path.stat().st_size
    configure_logging("info", format="json", file=log_file)
    try:
        with Client(ClientOptions.fast("a", path)) as client:
            assert dict(client) == held
            client.compact()
    finally:
        configure_logging("warning")
    assert abs(path.stat().st_size - size_bytes) < 100
    assert '"event":"wal.compacted"' in log_file.read_text()


@pytest.mark.parametrize("auto_flush", [True, False])
@pytest.mark.parametrize("at_once_bytes", [0, AT_ONCE_BYTES], ids=["in steps", "at once"])
def test_what_eight_threads_write_while_it_is_compacted_is_all_there(
    tmp_path: Path, auto_flush: bool, at_once_bytes: int
) -> None:
    path = tmp_path / "a.wal"
    options = ClientOptions.persistent("a", path, auto_flush=auto_flush)
    held: dict[str, str] = {}
    with Client(options) as client:
        compaction_of(client)._at_once_bytes = at_once_bytes
        threads = [
            threading.Thread(
                target=lambda i=i: held.update(overwrite(client, 2 * KEYS, name=str(i)))
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            client.compact()
        for thread in threads:
            thread.join()
        assert dict(client) == held
        digest = client.digest()

    with Client(options) as client:
        assert (dict(client), client.digest()) == (held, digest)
        assert client.sync_state().last_submitted_version == 16 * KEYS


def test_a_small_log_is_rewritten_while_nothing_is_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a writer that does nothing else lets it grow to many times its size meanwhile."""
    copied: list[int] = []
    copy_some = Rewrite.copy_some

    def noted(self: Rewrite, end: int) -> None:
        copied.append(end)
        copy_some(self, end)

    monkeypatch.setattr(Rewrite, "copy_some", noted)
    done = threading.Event()
    with Client(ClientOptions.fast("a", tmp_path / "a.wal")) as client:

        def write() -> None:
            while not done.is_set():
                overwrite(client, 2 * KEYS)

        writing = threading.Thread(target=write)
        writing.start()
        for _ in range(20):
            client.compact()
        done.set()
        writing.join()

    assert not copied


def test_a_large_log_is_rewritten_while_writes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Rewrite.append
    with Client(ClientOptions.persistent("a", tmp_path / "a.wal")) as client:
        compaction_of(client)._at_once_bytes = 0
        overwrite(client, KEYS)

        def write_meanwhile(self: Rewrite, records: Sequence[tuple[int, bytes]]) -> None:
            client.put("meanwhile", self.size_bytes)
            append(self, records)

        with monkeypatch.context() as patch:
            patch.setattr(Rewrite, "append", write_meanwhile)
            rewriting = compaction_of(client).rewrite()
            for _ in range(3):
                next(rewriting)
        for _ in rewriting:
            pass
        held = dict(client)
    assert isinstance(held["meanwhile"], int)
    with Client(client.options) as client:
        assert dict(client) == held


def test_the_thread_that_rewrites_may_give_way_after_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a writer waits 5 ms for its turn with the interpreter, before and after each sync."""
    steps: list[str] = []
    append = Rewrite.append

    def noted(self: Rewrite, records: Sequence[tuple[int, bytes]]) -> None:
        steps.append("step")
        append(self, records)

    with Client(ClientOptions.persistent("a", tmp_path / "a.wal")) as client:
        compaction_of(client)._at_once_bytes = 0
        overwrite(client, KEYS)
        assert client._node is not None
        assert client._node._compactor is not None
        monkeypatch.setattr(client._node._compactor, "_give_way", lambda: steps.append("way"))
        monkeypatch.setattr(Rewrite, "append", noted)
        client.compact()

    assert len(steps) > 4
    # Twice at the end: once what comes behind has its space, and once it is done.
    assert steps == ["step", "way"] * (len(steps) // 2 - 1) + ["way", "way"]


def test_a_file_that_is_to_be_adopted_is_prepared_while_writes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All wait while it takes the name of the old one: it has little left to do then."""
    calls: list[str] = []
    prepare, adopt = Rewrite.prepare, Rewrite.adopt
    with Client(ClientOptions.persistent("a", tmp_path / "a.wal")) as client:
        compaction_of(client)._at_once_bytes = 0
        overwrite(client, KEYS)

        def prepared(self: Rewrite) -> None:
            prepare(self)
            client.put("meanwhile", 1)
            calls.append("prepare")

        def adopted(self: Rewrite) -> None:
            calls.append("adopt")
            adopt(self)

        monkeypatch.setattr(Rewrite, "prepare", prepared)
        monkeypatch.setattr(Rewrite, "adopt", adopted)
        client.compact()

    assert calls == ["prepare", "adopt"]


def test_the_old_file_is_let_go_while_writes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To free the room of 60 MB takes as long as 100 syncs."""
    let_go: list[bool] = []
    discard = Rewrite.discard
    with Client(ClientOptions.persistent("a", tmp_path / "a.wal")) as client:
        compaction_of(client)._at_once_bytes = 0
        overwrite(client, KEYS)

        def noted(self: Rewrite) -> None:
            assert client._node is not None
            assert not client._node.committer.is_at_work
            client.put("meanwhile", 1)
            discard(self)
            with pytest.raises(StorageError):
                assert self.replaced is not None
                self.replaced.size()
            let_go.append(True)

        monkeypatch.setattr(Rewrite, "discard", noted)
        client.compact()

    assert let_go == [True]


def test_the_thread_that_lets_go_of_the_old_file_gives_way_after_each_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    free_some = Rewrite.free_some

    def noted(self: Rewrite) -> bool:
        is_more = free_some(self)
        steps.append("piece" if is_more else "end")
        return is_more

    monkeypatch.setattr(Rewrite, "free_some", noted)
    monkeypatch.setattr("softadastra.wal.rewriting.FREE_BYTES", 10_000)
    monkeypatch.setattr("softadastra.wal.disk.take_lease", lambda _: True)
    with Client(ClientOptions.persistent("a", tmp_path / "a.wal")) as client:
        overwrite(client, KEYS)
        assert client._node is not None
        assert client._node._compactor is not None
        monkeypatch.setattr(client._node._compactor, "_give_way", lambda: steps.append("way"))
        client.compact()

    assert len(steps) > 5
    # And once before: who has waited for the new file goes first.
    assert steps == ["way", "piece"] * (len(steps) // 2 - 1) + ["way", "end"]


@pytest.mark.parametrize(
    ("call", "is_done"), [("append", False), ("free_some", True)], ids=["written", "let go"]
)
def test_a_compaction_that_a_close_ends_says_whether_the_log_was_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, is_done: bool
) -> None:
    """When only the old file is left to be let go, it was."""
    began = threading.Event()
    errors: list[SoftadastraError] = []
    client = Client(ClientOptions.persistent("a", tmp_path / "a.wal")).open()
    compaction = compaction_of(client)
    compaction._at_once_bytes = 0
    assert client._node is not None
    compactor = client._node._compactor
    assert compactor is not None

    def wait_for_the_close(self: Rewrite, *_: object) -> bool:
        began.set()
        assert wait_until(lambda: compactor._is_stopping, DEADLINE_SECONDS)
        return True

    def compact() -> None:
        try:
            client.compact()
        except SoftadastraError as error:
            errors.append(error)

    monkeypatch.setattr(Rewrite, call, wait_for_the_close)
    compacting = threading.Thread(target=compact)
    compacting.start()
    assert began.wait(DEADLINE_SECONDS)
    client.close()
    compacting.join()

    assert compaction.count == is_done
    assert ["was not compacted" in str(error) for error in errors] == [True] * (not is_done)


def test_a_large_log_is_synced_piece_by_piece_while_it_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A put that syncs waits until the disk has taken what was written beside it."""
    monkeypatch.setattr("softadastra.runtime.compaction.SYNC_BYTES", 20_000)
    sizes = [0]
    sync = Rewrite.sync

    def noted(self: Rewrite) -> None:
        sizes.append(self.size_bytes)
        sync(self)

    monkeypatch.setattr(Rewrite, "sync", noted)
    with Client(ClientOptions.persistent("a", tmp_path / "a.wal")) as client:
        compaction_of(client)._at_once_bytes = 0
        overwrite(client, KEYS)
        client.compact()

    steps = [later - sooner for sooner, later in pairwise(sizes)]
    assert len(steps) > 1
    assert max(steps) < 2 * 20_000


def test_a_full_disk_leaves_the_log_as_it_is_and_writes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wal"
    log_file = tmp_path / "events.jsonl"

    def refuse(self: Rewrite, records: object) -> None:
        raise StorageError("no space left", errno=errno.ENOSPC, filename=str(path))

    configure_logging("info", format="json", file=log_file)
    try:
        with Client(ClientOptions.fast("a", path)) as client:
            with monkeypatch.context() as patch:
                patch.setattr(Rewrite, "append", refuse)
                held = overwrite(client, 10 * KEYS)
                with pytest.raises(StorageError, match="no space left"):
                    client.compact()
                assert wait_until(
                    lambda: "compaction.failed" in log_file.read_text(), DEADLINE_SECONDS
                )
            assert not path.with_suffix(".wal.new").exists()
            held |= overwrite(client, KEYS, name="after")
            client.compact()
            assert dict(client) == held
    finally:
        configure_logging("warning")
    with Client(ClientOptions.fast("a", path)) as client:
        assert dict(client) == held


def test_what_a_full_disk_ended_is_tried_again_when_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wal"
    monkeypatch.setattr("softadastra.runtime.compaction.RETRY_MIN_MS", 20)
    refused: list[object] = []

    def refuse(self: Rewrite, records: object) -> None:
        refused.append(records)
        raise StorageError("no space left", errno=errno.ENOSPC, filename=str(path))

    with Client(ClientOptions.fast("a", path)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Rewrite, "append", refuse)
            held = overwrite(client, 10 * KEYS)
            assert wait_until(lambda: len(refused) > 2, DEADLINE_SECONDS)
        size_bytes = path.stat().st_size
        assert wait_until(lambda: path.stat().st_size < size_bytes // 4, DEADLINE_SECONDS)
        assert dict(client) == held


def test_a_backup_while_it_is_compacted_is_whole(tmp_path: Path) -> None:
    with Client(ClientOptions.fast("a", tmp_path / "a.wal")) as client:
        held = overwrite(client, 2 * KEYS)

        def compact() -> None:
            for _ in range(20):
                client.compact()

        compacting = threading.Thread(target=compact)
        compacting.start()
        for i in range(10):
            client.backup(tmp_path / f"backup-{i}.wal")
        compacting.join()
    for i in range(10):
        with Client(ClientOptions.fast("a", tmp_path / f"backup-{i}.wal")) as client:
            assert dict(client) == held


def test_a_compacted_log_that_is_cut_within_its_checkpoint_is_refused(tmp_path: Path) -> None:
    """It would claim what it does not hold, and peers would take that for removed.

    So it is with the last records of a checkpoint, the members: nobody would wait for them.
    """
    path = tmp_path / "a.wal"
    options = ClientOptions.fast("a", path)
    with Client(options) as client:
        overwrite(client, KEYS)
        client.compact()
    image = path.read_bytes()
    found = read_log(path, policies=LAST_WRITE_WINS, options=OPTIONS)
    offsets = [frame.offset for frame in found if isinstance(frame, Frame)]
    for size in [*offsets, *(offset + 5 for offset in offsets)]:
        path.write_bytes(image[:size])

        with pytest.raises(WalCorruptionError, match="ends within"):
            Client(options).open()
        assert path.read_bytes() == image[:size]
        assert {each.name for each in tmp_path.iterdir()} == {"a.wal", "a.wal.lock"}


def test_a_memory_only_client_has_nothing_to_compact() -> None:
    with Client(ClientOptions.memory_only("a")) as client:
        client.put("k", 1)
        client.compact()
        assert client["k"] == 1


def test_closing_ends_a_compaction_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.wal"
    for _ in range(5):
        with Client(ClientOptions.fast("a", path)) as client:
            held = overwrite(client, 5 * KEYS)
    assert [each.name for each in tmp_path.iterdir()] == ["a.wal", "a.wal.lock"]
    with Client(ClientOptions.fast("a", path)) as client:
        assert dict(client) == held


def test_a_compaction_that_a_close_ends_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_file = tmp_path / "events.jsonl"
    began = threading.Event()
    configure_logging("info", format="json", file=log_file)
    try:
        with Client(ClientOptions.fast("a", tmp_path / "a.wal")) as client:
            node = client._node
            assert node is not None
            compactor = node._compactor
            assert compactor is not None
            compactor.compaction._at_once_bytes = 0

            def wait_for_the_close(self: Rewrite, records: object) -> None:
                began.set()
                assert wait_until(lambda: compactor._is_stopping, DEADLINE_SECONDS)

            monkeypatch.setattr(Rewrite, "append", wait_for_the_close)
            overwrite(client, 10 * KEYS)
            assert began.wait(DEADLINE_SECONDS)
        assert "node.closed" in log_file.read_text()
        assert "failed" not in log_file.read_text()
    finally:
        configure_logging("warning")


def test_processes_that_are_killed_while_they_compact_lose_nothing() -> None:
    """Their keys are few and overwritten all the time, so that the log is always rewritten."""
    rng = random.Random(1)
    with LocalCluster(2) as cluster:
        for _ in range(4):
            for node in cluster.nodes:
                pairs = [
                    (f"key/{rng.randrange(50)}", rng.randbytes(250).hex()) for _ in range(20_000)
                ]
                kill_while_writing(cluster.history, node, pairs, answered=rng.randrange(100, 2_000))
                node.restart()

        assert cluster.wait_converged(DEADLINE_SECONDS)
        assert cluster.judge().is_clean
