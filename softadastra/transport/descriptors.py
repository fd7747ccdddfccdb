"""Sees to it, before libzmq is used, that it finds the descriptors that it needs to begin with.

Without them it does not say so: it ends the process ("Too many open files (src/epoll.cpp:38)", and
in `bind` "(src/ip_resolver.cpp:542)"). Once it runs it gives a connection up, and no more.
"""

from __future__ import annotations

import errno
import os
import resource
from contextlib import ExitStack
from typing import Final

from softadastra.errors import TransportError

__all__ = ["BEGIN_DESCRIPTORS", "require_descriptors"]

BEGIN_DESCRIPTORS: Final = 48
"""A context, a listener with security and its proof take 17 on Linux (measured); where there is no
eventfd, as on macOS, each ZeroMQ socket takes two."""


def require_descriptors() -> None:
    """Check that so many descriptors are free. Another thread may take them all the same.

    Raises:
        TransportError: they are not.
    """
    with ExitStack() as stack:
        try:
            for _ in range(BEGIN_DESCRIPTORS):
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            raise TransportError(
                f"too many open files: a transport needs {BEGIN_DESCRIPTORS} descriptors to begin"
                f" with, and this process, which may have {limit}, has not so many left; close what"
                " it does not need, or raise the limit (ulimit -n)",
                limit=limit,
            ) from error
