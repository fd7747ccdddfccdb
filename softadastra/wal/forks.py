"""Logs and forked children: writing stays the right of the parent.

A child shares descriptors and file offsets with its parent: its writes would damage the parent's
log, and its copy of the lock would outlive the parent.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["open_logs"]


class Inherited(Protocol):
    """What a forked child has to let go of."""

    def abandon(self) -> None:
        """Close what is inherited, and take nothing more."""


open_logs: WeakSet[Inherited] = WeakSet()
"""All that this process has open."""


def abandon_in_child() -> None:
    """Let go of all of them, in a forked child."""
    for log in list(open_logs):
        log.abandon()
    open_logs.clear()


os.register_at_fork(after_in_child=abandon_in_child)
