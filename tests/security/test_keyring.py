"""A running node sees each change of the list, and nobody is let in by one that cannot be used."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from softadastra.errors import StoreError
from softadastra.security.keyring import Keyring, TrustChange
from softadastra.security.trust_file import TrustFile

from .samples import pair_of, public_key


@pytest.fixture
def file(tmp_path: Path) -> TrustFile:
    file = TrustFile(tmp_path / "a.trusted")
    file.trust("b", public_key(2))
    return file


@pytest.fixture
def keyring(file: TrustFile) -> Keyring:
    return Keyring(pair_of(1), file)


def test_who_is_on_the_list_is_let_in(keyring: Keyring) -> None:
    assert keyring.node_of(public_key(2)) == "b"
    assert keyring.key_of("b") == public_key(2)
    assert keyring.node_of(public_key(3)) is None
    assert keyring.key_of("c") is None


def test_a_list_that_is_as_it_was_tells_nothing(keyring: Keyring) -> None:
    assert keyring.reread() is None


def test_a_change_is_told_by_who_came_and_who_went(file: TrustFile, keyring: Keyring) -> None:
    file.trust("c", public_key(3))
    file.revoke("b")

    assert keyring.reread() == TrustChange(("c",), ("b",), "")
    assert keyring.node_of(public_key(2)) is None
    assert keyring.node_of(public_key(3)) == "c"
    assert keyring.reread() is None


def test_a_node_with_another_key_came_and_went(file: TrustFile, keyring: Keyring) -> None:
    file.revoke("b")
    file.trust("b", public_key(9))

    assert keyring.reread() == TrustChange(("b",), ("b",), "")


def test_a_change_of_the_same_length_and_time_is_seen(file: TrustFile, keyring: Keyring) -> None:
    """As an editor that writes in place may make within one tick of the clock."""
    before = file.path.stat()
    text = file.path.read_text()
    file.path.write_text(text.replace(f"{public_key(2)} b", f"{public_key(4)} b"))
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert keyring.reread() == TrustChange(("b",), ("b",), "")


def test_a_comment_changes_nobody(file: TrustFile, keyring: Keyring) -> None:
    with file.path.open("a") as stream:
        stream.write("# hello\n")

    assert keyring.reread() is None


def test_a_list_that_is_gone_lets_in_nobody(file: TrustFile, keyring: Keyring) -> None:
    file.path.unlink()

    assert keyring.reread() == TrustChange((), ("b",), "")
    assert keyring.node_of(public_key(2)) is None


@pytest.mark.parametrize("harm", ["damaged", "writable", "link"])
def test_a_list_that_cannot_be_used_lets_in_nobody_until_it_is_mended(
    file: TrustFile, keyring: Keyring, harm: str
) -> None:
    """To go on with the last good one would keep in whom somebody just revoked."""
    good = file.path.read_text()
    match harm:
        case "damaged":
            file.path.write_text("nonsense\n")
        case "writable":
            file.path.chmod(0o666)
        case _:
            file.path.rename(file.path.with_suffix(".kept"))
            file.path.symlink_to(file.path.with_suffix(".kept"))
    change = keyring.reread()

    assert change is not None
    assert (change.added, change.removed) == ((), ("b",))
    assert str(file.path) in change.problem
    assert keyring.node_of(public_key(2)) is None
    assert keyring.reread() is None

    file.path.unlink()
    file.path.touch(0o600)
    file.path.write_text(good)
    assert keyring.reread() == TrustChange(("b",), (), "")


@pytest.fixture
def exhausted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take the process its descriptors."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    return lambda: monkeypatch.setattr(os, "open", refuse)


def test_a_process_without_descriptors_lets_in_the_same_while_the_list_is_as_it_was(
    file: TrustFile, keyring: Keyring, exhausted: Callable[[], None]
) -> None:
    """Else a burst of connections, whoever makes them, would cut off all friends."""
    assert keyring.reread() is None
    exhausted()

    assert keyring.reread() is None
    assert keyring.node_of(public_key(2)) == "b"


@pytest.mark.parametrize("how", ["replaced", "written", "gone"])
def test_a_process_without_descriptors_lets_in_nobody_when_the_list_is_another_one(
    file: TrustFile, keyring: Keyring, exhausted: Callable[[], None], how: str
) -> None:
    """Else who is to be revoked could put it off for as long as he takes all descriptors."""
    match how:
        case "replaced":
            file.trust("c", public_key(3))
        case "written":
            file.path.write_text("")
        case _:
            file.path.unlink()
    exhausted()
    change = keyring.reread()

    assert change is not None
    assert (change.added, change.removed) == ((), ("b",))
    assert "Too many open files" in change.problem


def test_a_node_does_not_start_with_a_list_that_cannot_be_used(file: TrustFile) -> None:
    file.path.write_text("nonsense\n")
    with pytest.raises(StoreError):
        Keyring(pair_of(1), file)
