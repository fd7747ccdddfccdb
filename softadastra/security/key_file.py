"""The file of a node's key pair: text, for the owner's eyes alone.

Whoever can read it can pass for the node. Who loses it has to be trusted anew by all others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from softadastra.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    StoreError,
)
from softadastra.security.keys import KeyPair, PublicKey, SecretKey
from softadastra.security.private_files import make_file, read_file

__all__ = ["KeyFile"]

_HEADING: Final = (
    "# The key pair of a Softadastra node. Who can read this file can pass for the node."
)


class KeyFile:
    """Where a node keeps its key pair.

    Args:
        path: the file.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> KeyPair:
        """Read the key pair.

        Raises:
            NotFoundError: there is none yet.
            StoreError: others can read the file, or it holds no key pair.
            StorageError: the system refused.
        """
        content = read_file(self.path, is_secret=True)
        if content is None:
            raise NotFoundError(
                f"no key pair at {self.path}: make one with softadastra keys init",
                path=str(self.path),
            )
        try:
            return _parse(content)
        except InvalidArgumentError as error:
            raise StoreError(
                f"{str(self.path)!r} holds no key pair: {error.message}. Bring back a copy of it,"
                " or remove it: a new pair is made, which all others have to trust anew",
                path=str(self.path),
            ) from error

    def make(self, pair: KeyPair) -> None:
        """Write a key pair into a new file.

        Raises:
            AlreadyExistsError: there is one, which stays.
            StorageError: the system refused.
        """
        lines = (_HEADING, f"public {pair.public}", f"secret {pair.secret.text()}", "")
        make_file(self.path, "\n".join(lines).encode())

    def load_or_make(self, draw: Callable[[], KeyPair]) -> KeyPair:
        """Read the key pair; without one, make it. Of several who do, all get the same one.

        Args:
            draw: gives a new pair.

        Raises:
            StoreError, StorageError: as `load` and `make`.
        """
        with suppress(NotFoundError):
            return self.load()
        with suppress(AlreadyExistsError):  # another process was faster
            self.make(draw())
        return self.load()


def _parse(content: bytes) -> KeyPair:
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError("it is no text") from error
    words = dict(line.split(" ", 1) for line in lines if " " in line and line[0] != "#")
    if words.keys() != {"public", "secret"}:
        raise InvalidArgumentError('expected a line "public KEY" and a line "secret KEY"')
    return KeyPair(PublicKey.parse(words["public"]), SecretKey.parse(words["secret"]))
