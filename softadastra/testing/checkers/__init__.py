"""The promises of a cluster, each checked by a file of its own.

They watch a simulated cluster from outside: its disks, what its nodes say to each other, what
they were asked to write. Section and guarantee numbers are those of the design.
"""

from __future__ import annotations

from softadastra.testing.checkers.base import BrokenPromiseError
from softadastra.testing.checkers.checks import Checks

__all__ = ["BrokenPromiseError", "Checks"]
