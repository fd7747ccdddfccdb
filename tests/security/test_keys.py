"""Keys as people write them: a wrong one is noticed, and a secret one never passes for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.errors import InvalidArgumentError
from softadastra.security.keys import PublicKey, SecretKey

from .samples import pair_of, public_key

RAW = st.binary(min_size=32, max_size=32)


@given(RAW)
def test_a_key_is_read_as_it_was_written(raw: bytes) -> None:
    assert PublicKey.parse(str(PublicKey(raw))) == PublicKey(raw)
    assert SecretKey.parse(SecretKey(raw).text()) == SecretKey(raw)


def test_a_key_is_one_word_that_no_shell_changes() -> None:
    assert str(public_key(1)).isalnum()
    assert len(str(public_key(1))) == 56


@given(RAW, st.integers(0, 55), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_mistyped_character_is_noticed(raw: bytes, place: int, typed: str) -> None:
    word = str(PublicKey(raw))
    wrong = word[:place] + typed + word[place + 1 :]
    if wrong == word:
        return

    with pytest.raises(InvalidArgumentError, match="mistyped or cut off"):
        PublicKey.parse(wrong)


def test_capitals_blanks_and_hyphens_do_not_matter() -> None:
    word = str(public_key(7))
    grouped = "-".join(word[first : first + 7] for first in range(0, 56, 7))

    assert PublicKey.parse(f" {grouped.upper()}\n") == public_key(7)


@pytest.mark.parametrize("text", ["", "abc", "a" * 52, "a" * 57, "1" * 56, "ä" * 56, "=" * 56])
def test_what_is_no_key_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="expected 56 letters and digits 2 to 7"):
        PublicKey.parse(text)


def test_a_secret_key_does_not_pass_for_a_public_one() -> None:
    """Somebody who mixes them up must not send the secret one around, nor trust it."""
    with pytest.raises(InvalidArgumentError, match="this is a secret key") as caught:
        PublicKey.parse(pair_of(1).secret.text())

    assert pair_of(1).secret.text() not in caught.value.message


def test_a_public_key_does_not_pass_for_a_secret_one() -> None:
    with pytest.raises(InvalidArgumentError):
        SecretKey.parse(str(public_key(1)))


def test_a_secret_key_shows_only_when_it_is_asked_for() -> None:
    pair = pair_of(3)
    shown = f"{pair} {pair!r} {pair.secret} {pair.secret!r}"

    assert pair.secret.text() not in shown
    assert repr(pair.secret.raw) not in shown


def test_an_unreadable_secret_key_is_not_repeated() -> None:
    word = pair_of(3).secret.text()
    with pytest.raises(InvalidArgumentError) as caught:
        SecretKey.parse(word[:-1] + ("a" if word[-1] != "a" else "b"))

    assert word[:20] not in caught.value.message


def test_a_fingerprint_is_short_and_of_the_whole_key() -> None:
    keys = [PublicKey(bytes(31) + bytes([last])) for last in range(256)]

    assert all(len(key.fingerprint) == 23 for key in keys)
    assert len({key.fingerprint for key in keys}) == 256


@pytest.mark.parametrize("size", [0, 31, 33, 40])
def test_a_key_of_another_length_cannot_be_made(size: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"got {size}"):
        PublicKey(bytes(size))
