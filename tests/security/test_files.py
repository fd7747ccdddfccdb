"""The files of keys: made once, whole, for their owner; refused when others can look or write."""

from __future__ import annotations

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier, Event

import pytest

from softadastra.errors import (
    AlreadyExistsError,
    NotFoundError,
    StorageError,
    StoreError,
)
from softadastra.security.key_file import KeyFile
from softadastra.security.private_files import changing
from softadastra.security.trust_file import TrustFile

from .samples import pair_of, public_key

THREADS = 16


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "node" / "a.wal.key")


@pytest.fixture
def trust_file(tmp_path: Path) -> TrustFile:
    return TrustFile(tmp_path / "node" / "a.wal.trusted")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_pair_is_kept_for_its_owner_alone(key_file: KeyFile) -> None:
    before = os.umask(0)
    try:
        key_file.make(pair_of(1))
    finally:
        os.umask(before)

    assert mode_of(key_file.path) == 0o600
    assert key_file.load() == pair_of(1)
    assert list(key_file.path.parent.iterdir()) == [key_file.path]


def test_a_key_pair_is_never_replaced(key_file: KeyFile) -> None:
    key_file.make(pair_of(1))
    with pytest.raises(AlreadyExistsError, match="left as it is"):
        key_file.make(pair_of(2))

    assert key_file.load() == pair_of(1)
    assert list(key_file.path.parent.iterdir()) == [key_file.path]


def test_of_many_who_make_the_key_pair_at_once_all_get_the_same_one(key_file: KeyFile) -> None:
    numbers, start = count(1), Barrier(THREADS)

    def first_use() -> object:
        start.wait()
        return key_file.load_or_make(lambda: pair_of(next(numbers)))

    with ThreadPoolExecutor(THREADS) as pool:
        pairs = [each.result() for each in [pool.submit(first_use) for _ in range(THREADS)]]

    assert len({repr(pair) for pair in pairs}) == 1
    assert pairs[0] == key_file.load()
    assert list(key_file.path.parent.iterdir()) == [key_file.path]


def test_an_absent_key_pair_is_told_with_what_makes_one(key_file: KeyFile) -> None:
    with pytest.raises(NotFoundError, match="softadastra keys init"):
        key_file.load()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_key_pair_that_others_can_reach_is_refused(key_file: KeyFile, mode: int) -> None:
    key_file.make(pair_of(1))
    key_file.path.chmod(mode)

    with pytest.raises(StoreError, match=f"mode {mode:04o}, so that others can read it"):
        key_file.load()
    with pytest.raises(StoreError, match="chmod 600"):
        key_file.load_or_make(lambda: pair_of(2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(key_file: KeyFile) -> None:
    key_file.make(pair_of(1))
    os.chown(key_file.path, 12345, -1)

    with pytest.raises(StoreError, match="belongs to another user"):
        key_file.load()


def test_a_link_is_refused_wherever_it_leads(key_file: KeyFile, tmp_path: Path) -> None:
    KeyFile(tmp_path / "elsewhere").make(pair_of(1))
    key_file.path.parent.mkdir()
    key_file.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="symbolic link"):
        key_file.load()


def test_what_is_no_file_is_refused_without_waiting_for_it(key_file: KeyFile) -> None:
    key_file.path.parent.mkdir()
    os.mkfifo(key_file.path, 0o600)

    with pytest.raises(StoreError, match="is no file"):
        key_file.load()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"public abc\nsecret def\n",
        f"public {public_key(1)}\n".encode(),
        f"public {public_key(1)}\nsecret {public_key(1)}\n".encode(),
        f"public {pair_of(1).secret.text()}\nsecret {pair_of(1).secret.text()}\n".encode(),
    ],
)
def test_a_key_file_that_cannot_be_read_is_refused_and_left(
    key_file: KeyFile, content: bytes
) -> None:
    key_file.path.parent.mkdir()
    key_file.path.touch(0o600)
    key_file.path.write_bytes(content)

    with pytest.raises(StoreError, match="holds no key pair"):
        key_file.load_or_make(lambda: pair_of(2))
    assert key_file.path.read_bytes() == content


def test_an_absent_list_trusts_nobody(trust_file: TrustFile) -> None:
    assert not trust_file.load().by_node
    assert not trust_file.path.exists()


def test_a_list_is_replaced_whole_and_is_its_owners(trust_file: TrustFile) -> None:
    assert trust_file.trust("b", public_key(2))
    first = trust_file.path.stat().st_ino
    assert trust_file.trust("c", public_key(3))

    assert trust_file.path.stat().st_ino != first
    assert mode_of(trust_file.path) == 0o600
    assert trust_file.load().by_node == {"b": public_key(2), "c": public_key(3)}
    assert list(trust_file.path.parent.iterdir()) == [trust_file.path]


def test_a_list_that_is_replaced_while_it_is_read_is_the_old_one_whole(
    trust_file: TrustFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened and checked is what is read, whoever has the name by then."""
    trust_file.trust("old", public_key(1))
    other = TrustFile(trust_file.path.with_name("other"))
    other.trust("new", public_key(2))
    fstat = os.fstat

    def replaced(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        if other.path.exists():
            other.path.chmod(0o666)
            other.path.rename(trust_file.path)
        return found

    monkeypatch.setattr(os, "fstat", replaced)

    assert list(trust_file.load().by_node) == ["old"]
    with pytest.raises(StoreError, match="others can change it"):
        trust_file.load()


def test_to_trust_again_writes_nothing(trust_file: TrustFile) -> None:
    trust_file.trust("b", public_key(2))
    before = trust_file.path.stat()

    assert not trust_file.trust("b", public_key(2))
    assert trust_file.path.stat() == before


def test_a_revoked_node_is_gone_and_its_key_is_told(trust_file: TrustFile) -> None:
    trust_file.trust("b", public_key(2))

    assert trust_file.revoke("b") == public_key(2)
    assert not trust_file.load().by_node
    with pytest.raises(NotFoundError):
        trust_file.revoke("b")


def test_no_change_of_many_at_once_is_lost(trust_file: TrustFile) -> None:
    """Each reads the list, changes it and replaces it: without a lock the last one would win."""
    start = Barrier(THREADS)

    def trust(number: int) -> None:
        start.wait()
        trust_file.trust(f"node-{number}", public_key(number))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(trust, range(THREADS)))

    assert len(trust_file.load().by_node) == THREADS


def test_who_waited_for_a_list_that_was_replaced_locks_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would change the new list while somebody else has that one locked."""
    path = tmp_path / "a.trusted"
    waits, flock = Event(), fcntl.flock

    def noticed(descriptor: int, operation: int) -> None:
        waits.set()
        flock(descriptor, operation)

    def change_later() -> bool:
        with changing(path), path.open() as there:
            try:
                flock(there.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    with ThreadPoolExecutor(1) as pool:
        with changing(path) as change:
            monkeypatch.setattr(fcntl, "flock", noticed)
            is_locked = pool.submit(change_later)
            assert waits.wait(10)
            change.replace(b"# another one\n")

        assert is_locked.result()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_list_that_others_can_change_is_refused(trust_file: TrustFile, mode: int) -> None:
    trust_file.trust("b", public_key(2))
    trust_file.path.chmod(mode)

    with pytest.raises(StoreError, match=f"mode {mode:04o}, so that others can change it"):
        trust_file.load()
    with pytest.raises(StoreError, match="others can change it"):
        trust_file.trust("c", public_key(3))


def test_a_list_that_others_can_read_is_no_danger(trust_file: TrustFile) -> None:
    trust_file.trust("b", public_key(2))
    trust_file.path.chmod(0o644)

    assert trust_file.load().by_node == {"b": public_key(2)}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"nonsense\n"])
def test_a_damaged_list_is_refused_and_left(trust_file: TrustFile, content: bytes) -> None:
    trust_file.path.parent.mkdir()
    trust_file.path.touch(0o600)
    trust_file.path.write_bytes(content)

    with pytest.raises(StoreError, match="Nobody is let in until it is mended"):
        trust_file.trust("b", public_key(2))
    assert trust_file.path.read_bytes() == content


def test_a_file_that_is_too_large_is_not_read(trust_file: TrustFile) -> None:
    trust_file.path.parent.mkdir()
    trust_file.path.touch(0o600)
    os.truncate(trust_file.path, (1 << 20) + 1)

    with pytest.raises(StoreError, match="expected at most 1048576"):
        trust_file.load()


def test_a_directory_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        KeyFile(tmp_path / "file" / "a.key").make(pair_of(1))

    assert caught.value.filename == str(tmp_path / "file" / "a.key")
