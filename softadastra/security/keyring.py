"""The keys as a running node sees them: its own pair, and whom it lets in at this moment.

The list is read again by `reread`, its whole content compared: a time of change would not tell two
changes within one tick of the file system's clock. A list that cannot be read, or that others can
change, lets in nobody: to go on with the last good one would keep in whom somebody just revoked.
One that cannot be read only because the process has no descriptor left counts for as long as the
system says that nothing of it has changed.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from softadastra.errors import StorageError, StoreError
from softadastra.security.keys import KeyPair, PublicKey
from softadastra.security.trust_file import TrustFile
from softadastra.security.trusted import Trusted

__all__ = ["Keyring", "TrustChange"]


_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


class TrustChange(NamedTuple):
    """What a reread has found."""

    added: tuple[str, ...]
    """Node ids that are let in now, or have another key."""
    removed: tuple[str, ...]
    """Node ids that are let in no more, or have another key."""
    problem: str
    """Why nobody is let in; empty when the list can be used."""


class Keyring:
    """One node's keys. For one thread.

    Args:
        own: the node's key pair.
        file: whom it lets in.

    Raises:
        StoreError, StorageError: the list cannot be used.
    """

    __slots__ = ("_content", "_file", "_mark", "_problem", "_trusted", "own")

    def __init__(self, own: KeyPair, file: TrustFile) -> None:
        self.own = own
        self._file = file
        self._mark = file.mark()
        """Taken before the file is read: a change in between makes another one."""
        self._content = file.read()
        self._trusted = file.parse(self._content)
        self._problem = ""

    def key_of(self, node_id: str) -> PublicKey | None:
        """Give the key of a node; None when it is not let in."""
        return self._trusted.by_node.get(node_id)

    def node_of(self, key: PublicKey) -> str | None:
        """Give the node that has a key; None when it is not let in."""
        return self._trusted.by_key.get(key)

    def reread(self) -> TrustChange | None:
        """Read the list again; None when nothing has changed. Never raises."""
        before = self._trusted.by_node
        known_mark = self._mark
        try:
            self._mark = self._file.mark()
            content = self._file.read()
            if content == self._content and not self._problem:
                return None
            trusted, problem = self._file.parse(content), ""
        except (StoreError, StorageError) as error:
            is_exhausted = isinstance(error, StorageError) and error.errno in _EXHAUSTED
            if is_exhausted and self._mark == known_mark and not self._problem:
                return None
            content, trusted, problem = None, Trusted.nobody(), error.message
        is_known = problem == self._problem and trusted.by_node == before
        self._content, self._trusted, self._problem = content, trusted, problem
        if is_known:
            return None
        now = trusted.by_node
        return TrustChange(
            added=tuple(name for name, key in now.items() if before.get(name) != key),
            removed=tuple(name for name, key in before.items() if now.get(name) != key),
            problem=problem,
        )
