"""What happens to writes that did not know of each other, by key prefix.

The rules are the same on all nodes of a cluster: a node that keeps only the last write tells
the others that what they keep beside it is obsolete. So a greeting names them, and nodes of
different rules refuse each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["LAST_WRITE_WINS", "Policies", "Policy"]


class Policy(StrEnum):
    """How one key's conflicts are settled."""

    LAST_WRITE_WINS = "last_write_wins"
    """The greatest in the total order stays; what lost is listed."""
    MANUAL = "manual"
    """All stay, until somebody resolves it."""
    KEEP_LOCAL = "keep_local"
    """A node that wrote one of them keeps its own."""
    KEEP_REMOTE = "keep_remote"
    """A node that wrote one of them takes the greatest of the others'."""
    MERGE = "merge"
    """A function of the application makes one value of them."""


class Policies:
    """The policy of every key.

    Args:
        default: of keys without a matching prefix.
        by_prefix: the longest matching prefix wins.
        names: the same as text, for peers to compare; functions by their names.
    """

    __slots__ = ("_by_prefix", "_default", "names")

    def __init__(self, default: Policy, by_prefix: Mapping[str, Policy], names: str) -> None:
        self._default = default
        self._by_prefix = sorted(by_prefix.items(), key=lambda item: -len(item[0]))
        self.names = names

    def of(self, key: str) -> Policy:
        """Give the policy of a key."""
        for prefix, policy in self._by_prefix:
            if key.startswith(prefix):
                return policy
        return self._default

    def keeps_siblings(self, key: str) -> bool:
        """Whether concurrent writes of a key all stay until one supersedes them."""
        return self.of(key) is not Policy.LAST_WRITE_WINS


LAST_WRITE_WINS = Policies(Policy.LAST_WRITE_WINS, {}, Policy.LAST_WRITE_WINS.value)
