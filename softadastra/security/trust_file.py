"""The file of those whom a node lets in. People may read and edit it; others may not write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from softadastra.errors import InvalidArgumentError, StoreError
from softadastra.security.keys import PublicKey
from softadastra.security.private_files import Mark, changing, mark_of, read_file
from softadastra.security.trusted import Trusted

__all__ = ["TrustFile"]


class TrustFile:
    """Where a node keeps whom it lets in. An absent file lets in nobody.

    Args:
        path: the file.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """Give the content as it is; None when there is no file.

        Raises:
            StoreError: others can change the file.
            StorageError: the system refused.
        """
        return read_file(self.path, is_secret=False)

    def mark(self) -> Mark | None:
        """Give what is another one after each change of the file; None when there is no file.

        Raises:
            StorageError: the system refused.
        """
        return mark_of(self.path)

    def load(self) -> Trusted:
        """Give whom the file lets in.

        Raises:
            StoreError: others can change the file, or it holds no such list.
            StorageError: the system refused.
        """
        return self.parse(self.read())

    def parse(self, content: bytes | None) -> Trusted:
        """Give whom a content of this file lets in.

        Raises:
            StoreError: it is no such list.
        """
        if not content:
            return Trusted.nobody()
        try:
            return Trusted.parse(content.decode())
        except (InvalidArgumentError, UnicodeDecodeError) as error:
            problem = error.message if isinstance(error, InvalidArgumentError) else "it is no text"
            raise StoreError(
                f"the list of trusted keys {str(self.path)!r} cannot be read: {problem}. Nobody is"
                " let in until it is mended",
                path=str(self.path),
            ) from error

    def trust(self, node_id: str, key: PublicKey) -> bool:
        """Let a node in, which has this key; give whether it was not let in before.

        Raises:
            AlreadyExistsError: the node is pinned to another key, or another node to this one.
            InvalidArgumentError: no node can have this id.
            StoreError, StorageError: as `load`; the file is as it was.
        """
        before = self._change(lambda trusted: trusted.pinned(node_id, key))
        return node_id not in before.by_node

    def revoke(self, node_id: str) -> PublicKey:
        """Let a node in no more, and give the key that it had. A running node cuts it off soon.

        Raises:
            NotFoundError: it was not let in.
            StoreError, StorageError: as `load`; the file is as it was.
        """
        return self._change(lambda trusted: trusted.without(node_id)).by_node[node_id]

    def _change(self, changed: Callable[[Trusted], Trusted]) -> Trusted:
        """Change the list; give what it was before."""
        with changing(self.path) as change:
            before = self.load()
            after = changed(before)
            if after.by_node != before.by_node:
                change.replace(str(after).encode())
        return before
