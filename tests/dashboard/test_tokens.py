"""Who has the token is let in, and its file is for its owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from softadastra import InvalidArgumentError, StoreError
from softadastra.dashboard.tokens import Token, token_in

SECRET = "correct-horse-battery"


@pytest.mark.parametrize(
    ("authorization", "is_right"),
    [
        (f"Bearer {SECRET}", True),
        (f"bearer {SECRET}", True),
        (f"Bearer {SECRET}x", False),
        (f"Bearer {SECRET[:-1]}", False),
        ("Bearer ", False),
        ("Bearer schlüssel-schlüssel", False),
        (SECRET, False),
        (f"Basic {SECRET}", False),
        ("", False),
    ],
)
def test_only_the_token_opens(authorization: str, is_right: bool) -> None:
    assert Token(SECRET).opens(authorization) is is_right


def test_each_token_that_is_made_is_another_one() -> None:
    made = {Token.new().reveal() for _ in range(100)}

    assert len(made) == 100
    assert min(map(len, made)) >= 43


@pytest.mark.parametrize("secret", ["short", "with blanks in between it", "é" * 20, "x" * 257, ""])
def test_what_is_no_token_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Token(secret)

    assert not secret or secret not in str(caught.value)
    assert SECRET not in repr(Token(SECRET))


def test_a_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dashboard.token"

    token = token_in(path).reveal()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"{token}\n"
    assert token_in(path).reveal() == token


def test_a_file_that_others_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.token"
    path.write_text(SECRET)
    path.chmod(0o644)

    with pytest.raises(StoreError, match="0644"):
        token_in(path)


def test_a_file_without_a_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.token"
    path.write_bytes(b"too short\n")
    path.chmod(0o600)

    with pytest.raises(StoreError, match="holds no token"):
        token_in(path)
