"""Key pairs of Curve25519, and how they are written for people.

A key is written as 56 characters of base32 (RFC 4648, in small letters): the 32 bytes as 52, and
4 that check them, as a device id of Syncthing is. So it is one word without a character that a
shell or a mail program changes, and a mistyped one is noticed: by chance one in 2^20 passes.
Z85, in which ZeroMQ writes keys (RFC 32), has "$", "&" and "#" in it.
"""

from __future__ import annotations

import hashlib
from base64 import b32decode, b32encode
from dataclasses import dataclass
from typing import Final, Self

from softadastra.errors import InvalidArgumentError

__all__ = ["KEY_BYTES", "KeyPair", "PublicKey", "SecretKey"]

KEY_BYTES: Final = 32

_WORD_CHARACTERS: Final = 52
"""What 32 bytes take in base32, without padding."""

_CHECK_CHARACTERS: Final = 4

_FINGERPRINT_CHARACTERS: Final = 20
"""100 bits of SHA-256: to find a second key for a fingerprint takes 2^100 tries. It is shown and
compared; what is trusted is always the whole key."""

_PUBLIC: Final = b"softadastra public key"
_SECRET: Final = b"softadastra secret key"
"""They go into the check, so that a secret key never passes for a public one."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What others know a node by.

    Args:
        raw: 32 bytes.
    """

    raw: bytes

    def __post_init__(self) -> None:
        _require_length(self.raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a public key as `str` writes it; capitals, blanks and hyphens do not matter.

        Raises:
            InvalidArgumentError: it is none, or is mistyped.
        """
        return cls(_read(text, _PUBLIC, "public"))

    @property
    def fingerprint(self) -> str:
        """Give a short name for people and logs, as "k3vya-2nd4e-7qhtn-lm5pa"."""
        word = _base32(hashlib.sha256(self.raw).digest())[:_FINGERPRINT_CHARACTERS]
        return "-".join(word[first : first + 5] for first in range(0, len(word), 5))

    def __str__(self) -> str:
        return _write(self.raw, _PUBLIC)


@dataclass(frozen=True, slots=True, repr=False)
class SecretKey:
    """What a node proves with who it is. It never shows by accident: `text` alone gives it.

    Args:
        raw: 32 bytes.
    """

    raw: bytes

    def __post_init__(self) -> None:
        _require_length(self.raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a secret key as `text` writes it.

        Raises:
            InvalidArgumentError: it is none; the message does not repeat it.
        """
        return cls(_read(text, _SECRET, "secret"))

    def text(self) -> str:
        """Write the key, for its file."""
        return _write(self.raw, _SECRET)

    def __repr__(self) -> str:
        return "SecretKey(...)"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A node's two keys, which belong together."""

    public: PublicKey
    secret: SecretKey


def _require_length(raw: bytes) -> None:
    if len(raw) != KEY_BYTES:
        raise InvalidArgumentError(f"a key has {KEY_BYTES} bytes, got {len(raw)}")


def _base32(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()


def _check(raw: bytes, kind: bytes) -> str:
    return _base32(hashlib.sha256(kind + raw).digest())[:_CHECK_CHARACTERS]


def _write(raw: bytes, kind: bytes) -> str:
    return _base32(raw) + _check(raw, kind)


def _read(text: str, kind: bytes, name: str) -> bytes:
    word = "".join(text.split()).replace("-", "").lower()
    shown = f" {text!r}" if kind is _PUBLIC else ""
    expected = f"expected {_WORD_CHARACTERS + _CHECK_CHARACTERS} letters and digits 2 to 7, as"
    expected += ' "softadastra keys show" prints it'
    try:
        padding = "=" * (-_WORD_CHARACTERS % 8)
        raw = b32decode(word[:_WORD_CHARACTERS].upper() + padding)
        _require_length(raw)
    except ValueError as error:
        raise InvalidArgumentError(f"cannot read {name} key{shown}: {expected}") from error
    if word == _write(raw, _SECRET) and kind is _PUBLIC:
        raise InvalidArgumentError(
            "this is a secret key, which nobody else may see: expected a public one, as"
            ' "softadastra keys show" prints it'
        )
    if word != _write(raw, kind):
        raise InvalidArgumentError(
            f"cannot read {name} key{shown}: it is mistyped or cut off; {expected}"
        )
    return raw
