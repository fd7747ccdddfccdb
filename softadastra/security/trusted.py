"""Which public key belongs to which node: those who are let in, as lines of text.

One node a line: its key, a blank, its node id. Blank lines and those that begin with "#" are for
people, and stay. A node has one key and a key one node: a name that is pinned to a key is never
given another one, because whoever takes the name over would come with one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from softadastra.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from softadastra.security.keys import PublicKey

__all__ = ["NODE_ID_BYTES_MAX", "Trusted", "check_node_id"]

NODE_ID_BYTES_MAX: Final = 255
"""As long as a node id may be in the options and in a greeting."""

_HEADING: Final = (
    "# Who is let in: a public key, a blank, a node id. A running node reads this file again each",
    "# second. `softadastra keys trust`, `pair` and `revoke` change it.",
)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Who is let in. Made by `parse`, or from another one; `Trusted.nobody()` is empty."""

    lines: tuple[str, ...]
    """The text, without line ends."""
    by_node: Mapping[str, PublicKey]
    by_key: Mapping[PublicKey, str]

    @classmethod
    def nobody(cls) -> Self:
        """Give an empty list."""
        return cls.of(_HEADING)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list.

        Raises:
            InvalidArgumentError: a line cannot be read, or names a node or a key a second time;
                the message says which line.
        """
        return cls.of(text.splitlines())

    @classmethod
    def of(cls, lines: Iterable[str]) -> Self:
        """Read the lines of a list; raises as `parse`."""
        lines = tuple(lines)
        by_node: dict[str, PublicKey] = {}
        by_key: dict[PublicKey, str] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            word, _, node_id = line.partition(" ")
            try:
                key = PublicKey.parse(word)
                check_node_id(node_id)
            except InvalidArgumentError as error:
                raise InvalidArgumentError(f"line {number}: {error.message}") from error
            if node_id in by_node or key in by_key:
                raise InvalidArgumentError(
                    f"line {number}: the node {node_id!r} or its key is on a line before: expected"
                    " one line a node"
                )
            by_node[node_id] = key
            by_key[key] = node_id
        return cls(lines, by_node, by_key)

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def pinned(self, node_id: str, key: PublicKey) -> Self:
        """Give a list in which this node has this key.

        Raises:
            InvalidArgumentError: no node can have this id.
            AlreadyExistsError: the node has another key here, or another node has this one.
        """
        check_node_id(node_id)
        if self.by_node.get(node_id) == key:
            return self
        self.check_pin(node_id, key)
        return self.of((*self.lines, f"{key} {node_id}"))

    def check_pin(self, node_id: str, key: PublicKey) -> None:
        """Check that a node may have a key.

        Raises:
            AlreadyExistsError: the node has another key here, or another node has this one.
        """
        expected = self.by_node.get(node_id, key)
        if expected != key:
            raise AlreadyExistsError(
                f"auth_failed: node {node_id!r} is pinned to another key: expected"
                f" {expected.fingerprint}, seen {key.fingerprint}. Somebody else may have taken its"
                f" name. When it is known to have a new one: softadastra keys revoke {node_id}",
                node_id=node_id,
                expected=expected.fingerprint,
                seen=key.fingerprint,
            )
        owner = self.by_key.get(key, node_id)
        if owner != node_id:
            raise AlreadyExistsError(
                f"auth_failed: the key {key.fingerprint} is that of node {owner!r} here, not of"
                f" {node_id!r}: each node has a key of its own",
                node_id=node_id,
                seen=key.fingerprint,
                owner=owner,
            )

    def without(self, node_id: str) -> Self:
        """Give a list without this node.

        Raises:
            NotFoundError: it is not on this one.
        """
        key = self.by_node.get(node_id)
        if key is None:
            raise NotFoundError(f"node not trusted: {node_id!r}", node_id=node_id)
        kept = (line for line in self.lines if not _is_pin_of(line, node_id))
        return self.of(kept)


def _is_pin_of(line: str, node_id: str) -> bool:
    return not line.startswith("#") and line.partition(" ")[2] == node_id


def check_node_id(node_id: str) -> None:
    """Check that a node can be called so.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if not (node_id.isprintable() and 1 <= len(node_id.encode()) <= NODE_ID_BYTES_MAX):
        raise InvalidArgumentError(
            f"no node can be called {node_id!r}: expected non-empty printable text of at most"
            f" {NODE_ID_BYTES_MAX} bytes of UTF-8",
            node_id=node_id,
        )
