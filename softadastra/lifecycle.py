"""How a client comes to have a node, and how it lets go of it.

Rules:

- Whatever interrupts `open` or `close`, as Ctrl-C may at any call, what was begun is ended: by the
  same call when it can, else by the next one.
- A forked child has the memory of its parent, but none of its threads, and its locks stay as they
  were at that moment. There a client that was open refuses every call, and touches nothing.
"""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakSet, proxy

from softadastra.errors import InvalidArgumentError, InvalidStateError
from softadastra.node import Node
from softadastra.options import ClientOptions
from softadastra.runtime.waiting import shielded

if TYPE_CHECKING:
    from softadastra.control.operations import Operations
    from softadastra.control.server import ControlServer

__all__ = ["Lifecycle"]


class Lifecycle:
    """What a `Client` is from its making to its end. Safe to use from any thread.

    Args:
        options: the node's settings; checked as a whole by `open`.
        stop: what `softadastra node stop` calls, in a thread of the client's; it may return before
            the client is closed. None: that command is refused, and says that the application
            ends its node itself.
    """

    def __init__(
        self, options: ClientOptions | None = None, *, stop: Callable[[], None] | None = None
    ) -> None:
        if not isinstance(options, ClientOptions | None):
            raise InvalidArgumentError(f"a client takes ClientOptions, got {options!r:.80}")
        self._given = options or ClientOptions()
        self._options = self._given
        """From `open` on a copy, that its owner does not change: it was checked as a whole."""
        self._stop = stop
        self._node: Node | None = None
        self._unsettled: Node | None = None
        """What is half open or half closed, because an exception came in between."""
        self._control: ControlServer | None = None
        """Answers commands; known before it listens, and until all of it is closed."""
        self._pid = 0
        """The process that opened it."""
        self._is_inherited = False
        """Whether this is a forked child of that process."""
        self._lifecycle = Lock()

    def open(self) -> Self:
        """Lock the write-ahead log, recover from it, and be ready. Open already: nothing.

        Raises:
            InvalidArgumentError: the options are wrong; the message lists every problem.
            InvalidStateError: it was opened in another process, of which this is a forked child.
            StoreLockedError: another client has the log open; the message names its process.
            WalCorruptionError: the log is damaged; nothing was changed.
            StorageError: the file or its directory cannot be used.
        """
        _lifecycles.add(self)
        with self._lifecycle:
            self._check_own()
            if self._node is None:
                self._settle()
                self._options = replace(self._given)
                self._options.validate()
                self._pid = os.getpid()
                # Known before it holds anything, so that an interrupt cannot lose it.
                node = self._unsettled = Node(self._options)
                try:
                    node.open()
                    self._node = node
                    self._serve(node)
                except BaseException:
                    self._node = None
                    self._settle()
                    raise
                self._unsettled = None
        return self

    def close(self) -> None:
        """Take leave of the peers, make everything durable, unlock. Never raises; idempotent.

        Returns within a second, with peers dead or alive, unless the disk hangs, or a command that
        asks this node has only just come: that gets its answer, in five seconds at most. What a
        signal handler raises, as Ctrl-C does, is raised when all is closed.

        What is open when the program ends is closed then. In a child that was forked while it was
        open this does nothing.
        """
        try:
            self._close()
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        with self._lifecycle:
            if self._control is not None:
                self._control.withdraw()
                self._control.drain()
            if self._node is not None:
                self._unsettled = self._node
                self._node = None
            self._settle()

    def _settle(self) -> None:
        """Close what is half open or half closed; what is done already is not done again."""
        if self._control is not None:
            self._control.withdraw()  # before the lock of the log is another node's
        if self._unsettled is not None:
            self._unsettled.close()
            self._unsettled = None
        if self._control is not None:
            self._control.close()
            self._control = None

    def _serve(self, node: Node) -> None:
        """Answer on a control socket beside the log."""
        if not (self._options.enable_wal and self._options.enable_control):
            return
        from softadastra.serving import control_server

        # Every client is one: its calls are below this class. A proxy, because what answers must
        # not keep a client that was forgotten from being collected, and so closed.
        operations = cast("Operations", proxy(self))
        self._control = control_server(operations, self._options, stop=self._stop, tell=node.emit)
        shielded(self._control.start)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._close_forgotten()

    def _close_forgotten(self) -> None:
        """Close it, and say so, if nobody has done that."""
        if getattr(self, "_node", None) or getattr(self, "_unsettled", None):
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=3)
            self.close()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Client {self._options.node_id} {state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Client holds files and threads: it cannot be copied or pickled")

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._node is not None

    @property
    def options(self) -> ClientOptions:
        """The settings it was made with. Changing them changes nothing while it is open."""
        return self._given

    def _opened(self) -> Node:
        node = self._node
        if node is None:
            self._check_own()
            raise InvalidStateError(
                f"client {self._options.node_id!r} is not open: call open(), or use it in a with"
            )
        return node

    def _check_own(self) -> None:
        if self._is_inherited:
            raise InvalidStateError(
                f"client {self._options.node_id!r} was opened in another process, {self._pid}, of "
                "which this one is a forked child: make a Client of its own here, with a "
                "write-ahead log of its own",
                pid=self._pid,
            )

    def _abandon(self) -> None:
        """Touch nothing of the parent's, in a forked child. No other thread exists here."""
        if self._control is not None:
            self._control.abandon()
            self._control = None
        node = self._node or self._unsettled
        if node is not None:
            _inherited.append(node)
            self._node = self._unsettled = None
            self._is_inherited = True
        # Another thread of the parent may have held it.
        self._lifecycle = Lock()


_lifecycles: WeakSet[Lifecycle] = WeakSet()
"""All that were opened, for the child of a fork, and for the end of the program."""

_inherited: list[Node] = []
"""Nodes of a parent, kept for good: a ZeroMQ context that is destroyed here would wait for ever
for its threads, which only the parent has."""


def _abandon_in_child() -> None:
    for each in list(_lifecycles):
        each._abandon()
    _lifecycles.clear()


def _close_at_exit() -> None:
    for each in list(_lifecycles):
        each._close_forgotten()


# While the threads of a node run: later they stand still, and one that has a lock keeps it.
atexit.register(_close_at_exit)

# Found out here once, instead of by a getpid in every call.
os.register_at_fork(after_in_child=_abandon_in_child)
