"""The secret that a browser shows to be let in."""

from __future__ import annotations

import hmac
import re
import secrets
from pathlib import Path
from typing import Final

from softadastra.errors import AlreadyExistsError, InvalidArgumentError, StoreError
from softadastra.security.private_files import make_file, read_file

__all__ = ["TOKEN_BYTES", "Token", "token_in"]

TOKEN_BYTES: Final = 32
"""Of chance in a token that is made here: 256 bits, which nobody guesses."""

_ALLOWED: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")
"""What stands in an Authorization header as it is (RFC 6750, section 2.1). With fewer than 16
characters it would be guessed by who tries long enough."""

_SCHEME: Final = "bearer "


class Token:
    """A secret, which is shown only on purpose.

    Args:
        secret: 16 to 256 of the letters, digits and -._~+/= that a header carries.

    Raises:
        InvalidArgumentError: it is something else; the message does not have it.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        if not isinstance(secret, str) or not _ALLOWED.fullmatch(secret):
            raise InvalidArgumentError(
                "a dashboard's token has 16 to 256 letters, digits and characters of -._~+/=,"
                " which the given one has not: leave it out, and one is made"
            )
        self._secret = secret

    @classmethod
    def new(cls) -> Token:
        """Make one by chance."""
        return cls(secrets.token_urlsafe(TOKEN_BYTES))

    def reveal(self) -> str:
        """Give the secret itself, for whoever is to have it."""
        return self._secret

    def opens(self, authorization: str) -> bool:
        """Whether an Authorization header has it; takes as long for every wrong one."""
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        shown = authorization[len(_SCHEME) :].strip()
        return hmac.compare_digest(shown.encode("utf-8", "replace"), self._secret.encode())

    def __repr__(self) -> str:
        return "<Token>"


def token_in(path: Path) -> Token:
    """Read the token of a file that only its owner can read; an absent one is made.

    Raises:
        StoreError: others can read the file, or it has no token.
        StorageError: the system refused.
    """
    while (content := read_file(path, is_secret=True)) is None:
        token = Token.new()
        try:
            make_file(path, f"{token.reveal()}\n".encode())
        except AlreadyExistsError:  # another process was faster: its token it is
            continue
        return token
    try:
        return Token(content.decode("ascii").strip())
    except (UnicodeDecodeError, InvalidArgumentError) as error:
        raise StoreError(
            f"{str(path)!r} holds no token: expected one line of 16 to 256 letters, digits and"
            " characters of -._~+/=; remove the file, and one is made",
            path=str(path),
        ) from error
