"""A whole node on a disk of which operation N fails, for N = 1, 2, 3 ... until none does.

Once and for good. Whatever failed: what returned is there when the node is opened again, what
raised is in no file, no store and no outbox, unless a sync failed in it, whose outcome nobody
knows. All errors are of this package's own tree, and no thread, descriptor or lock is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, SoftadastraError
from softadastra.types import Value
from tests.engines import OPTIONS
from tests.far_end import FarEnd
from tests.wal.faulty_disk import FaultyDisk

Items = dict[str, Value]

DESCRIPTORS = Path("/dev/fd")


class Run:
    """One run of the story, and what has to be there by now.

    Args:
        folder: where the log and its copies are.
        disk: what it runs on.
    """

    def __init__(self, folder: Path, disk: FaultyDisk) -> None:
        self.disk = disk
        self.folder = folder
        self.options = ClientOptions.persistent("node-a", folder / "node-a.wal")
        self.options.cluster = OPTIONS.cluster
        self.options.enable_transport = True
        self.client = Client(self.options)
        self.far_end = FarEnd()
        self.held: Items = {}
        """What returned."""
        self.writes = 0
        """How many own writes that are."""
        self.unknown: tuple[Items, int] | None = None
        """What else there may be, after a sync that failed."""
        self.backups: dict[Path, Items] = {}

    # Steps.

    def attempt(self, step: Callable[[], object]) -> bool:
        """Do what a disk may refuse; give whether it was done."""
        try:
            step()
        except SoftadastraError:
            assert self.disk.has_failed
            return False
        return True

    def write(self, changes: Items, step: Callable[[], object]) -> None:
        """Let the node write, and see that it shows the outcome."""
        was_poisoned = self.is_poisoned
        if self.attempt(step):
            assert not was_poisoned
            self.held = applied(self.held, changes)
            self.writes += len(changes)
        elif self.is_poisoned and not was_poisoned:
            self.unknown = (applied(self.held, changes), self.writes + len(changes))
        self.check_shown()

    def put(self, key: str, value: Value) -> None:
        self.write({key: value}, lambda: self.client.put(key, value))

    def put_together(self, changes: Items) -> None:
        def batch() -> None:
            with self.client.batch() as writes:
                for key, value in changes.items():
                    writes.put(key, value)

        self.write(changes, batch)

    def remove(self, key: str) -> None:
        if key in self.held:
            self.write({key: None}, lambda: self.client.remove(key))

    def receive(self, key: str, value: Value) -> None:
        """Let a peer send a write, twice if need be, and see whether it was acknowledged."""
        was_poisoned, before = self.is_poisoned, self.far_end.confirmed
        self.far_end.write(key, value)
        self.far_end.exchange()
        self.far_end.retry()
        if self.far_end.confirmed > before:
            assert not was_poisoned
            self.held = applied(self.held, {key: value})
        elif self.is_poisoned and not was_poisoned:
            self.unknown = (applied(self.held, {key: value}), self.writes)
        self.check_shown()

    def back_up(self, name: str) -> None:
        path = self.folder / name
        if self.attempt(lambda: self.client.backup(path)):
            self.backups[path] = dict(self.held)

    # What must hold.

    @property
    def is_poisoned(self) -> bool:
        node = self.client._node
        return node is not None and node.committer.has_failed

    def check_shown(self) -> None:
        """What is read, and the outbox, are what returned: nothing of what raised is there."""
        assert dict(self.client) == self.held
        assert self.client.sync_state().last_submitted_version == self.writes
        if not self.is_poisoned:
            node = self.client._node
            assert node is not None
            assert node._log is not None
            assert not any(node._log.path.read_bytes()[node._log.size_bytes :])

    def check_found(self) -> None:
        """What was opened again holds what returned; of what is unknown all or nothing."""
        found = (dict(self.client), self.client.sync_state().last_submitted_version)
        known = (self.held, self.writes)
        assert found in ((known,) if self.unknown is None else (known, self.unknown))
        assert self.far_end.top_of("node-a") <= self.client.sync_state().last_submitted_version
        self.held, self.writes = found
        self.unknown = None

    def check_after(self) -> None:
        """Open all that is left on a disk that is whole."""
        with Client(self.options) as self.client:
            self.check_found()
            assert self.client.put("last", 1).sync_id == f"node-a-{self.writes + 1}"
        for path, items in self.backups.items():
            with Client(ClientOptions.persistent("node-a", path)) as copy:
                assert dict(copy) == items
        assert not (self.folder / "node-a.wal.new").exists()


def applied(items: Items, changes: Items) -> Items:
    """Give what changes make of items; None removes one."""
    return {key: value for key, value in {**items, **changes}.items() if value is not None}


def play(run: Run) -> None:
    """All that a node does to its disk, in two lives."""
    client = run.client
    if run.attempt(client.open):
        run.put("k", "first")
        run.put_together({f"together/{i}": "x" * 50 for i in range(5)})
        client.start_transport()
        run.far_end.greet()
        run.receive("theirs/1", 1)
        run.put("k", "second")
        run.remove("together/0")
        run.attempt(client.compact)
        run.put("behind the checkpoint", 1)
        run.receive("theirs/2", 2)
        run.back_up("backup.wal")
        run.put("k", "third")
        run.attempt(client.prune_completed)
    client.close()
    if run.attempt(client.open):
        run.check_found()
        run.put("k", "in the second life")
        run.attempt(client.compact)
        run.put("last but one", 1)
    client.close()


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for good"])
def test_whatever_a_disk_refuses_a_node_keeps_what_returned_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sticky: bool
) -> None:
    threads, descriptors = threading.enumerate(), len(list(DESCRIPTORS.iterdir()))
    for number in count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        disk = FaultyDisk(fail_at=number, sticky=sticky)
        run = Run(folder, disk)
        with monkeypatch.context() as patch:
            patch.setattr("softadastra.node.OsDisk", lambda disk=disk: disk)
            patch.setattr(
                "softadastra.transport.zeromq.ZeroMQTransport", lambda *_, end=run.far_end: end
            )
            play(run)
        assert threading.enumerate() == threads, number
        assert len(list(DESCRIPTORS.iterdir())) == descriptors, number
        run.check_after()
        if not disk.has_failed:
            break
    assert number > 100
