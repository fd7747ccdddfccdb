"""A watch of a node of another process."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from softadastra.control import calls
from softadastra.control.calls import About
from softadastra.control.channel import Channel
from softadastra.control.connecting import silent_node
from softadastra.control.failures import failure_of
from softadastra.control.frames import Reply, decode_reply
from softadastra.control.shapes import from_plain
from softadastra.control.unreachable import NodeGoneError
from softadastra.control.watching import Place
from softadastra.errors import SoftadastraError, WatchOverflowError
from softadastra.types import Change

__all__ = ["RemoteWatch"]


class RemoteWatch:
    """What `Watch` is, for a node of another process: `RemoteNode.watch` makes it.

    For one thread. It ends with the block that it is the context manager of.

    Args:
        channel: a connection with the node, closed with this.
        about: who it says it is.
        silence: for how many seconds it may say nothing.
    """

    def __init__(self, channel: Channel, about: About, *, silence: float) -> None:
        self._channel = channel
        self._about = about
        self._silence = silence
        self._heard = time.monotonic()
        self._position = ""

    def begin(self, request: bytes) -> None:
        """Ask, and wait until the node watches: it misses nothing from here on.

        Raises as `Client.watch`, and as `get`.
        """
        try:
            with suppress(BrokenPipeError):  # who closes at once has said why
                self._channel.send(request, silence=self._silence)
            while not self._position:
                told = self._told(None)
                if told is not None:
                    self._position = told.position
        except TimeoutError:
            self.close()
            raise silent_node(self._about.node_id, self._about.pid, self._silence) from None
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> str:
        """Where to go on, later: behind the last change that was given, or behind more."""
        return self._position

    def get(self, timeout: float | None = None) -> Change | None:
        """Give the next change; None when there is none in time.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            WatchOverflowError: here some changes were not kept. The next call reads on.
            PositionLostError: the node cannot go on.
            NodeGoneError: the node has ended.
            NodeSilentError: it hangs.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            told = self._told(until)
            if told is not None:
                self._position = told.position
            match told:
                case Change():
                    return told
                case Place(missed=str(missed)):
                    raise WatchOverflowError(missed, position=told.position)
                case _ if until is not None and time.monotonic() >= until:
                    return None

    def _told(self, until: float | None) -> Change | Place | None:
        """Wait for what the node tells; None: it says that it lives, or nothing in time."""
        kind, content = self._reply(until)
        match kind:
            case Reply.PART:
                told: Change | Place = from_plain(calls.WATCH.result, content)
                return told
            case Reply.ERROR:
                raise failure_of(content)
            case Reply.RESULT:
                raise self._gone()
            case _:
                return None

    def _reply(self, until: float | None) -> tuple[Reply | None, object]:
        """Wait for what the node says; None: nothing in time."""
        while True:
            now = time.monotonic()
            longest = self._heard + self._silence
            end = longest if until is None else min(longest, until)
            if self._channel.wait(max(0.0, end - now)):
                break
            if until is not None and time.monotonic() >= until:
                return None, None
            if time.monotonic() >= longest:
                raise silent_node(self._about.node_id, self._about.pid, self._silence)
        try:
            payload = self._channel.receive(silence=self._silence)
        except TimeoutError:
            raise silent_node(self._about.node_id, self._about.pid, self._silence) from None
        except ConnectionError as error:
            if isinstance(error, SoftadastraError):
                raise
            raise self._gone() from error
        if payload is None:
            raise self._gone()
        self._heard = time.monotonic()
        return decode_reply(payload)

    def _gone(self) -> NodeGoneError:
        about = self._about
        return NodeGoneError(
            f"node {about.node_id} (pid {about.pid}) has ended, and with it what it tells",
            node_id=about.node_id,
            pid=about.pid,
        )

    def close(self) -> None:
        """End it. Again is no error."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
