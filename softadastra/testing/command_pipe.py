"""Requests to a child process over its standard input, answers over its standard output.

One request is under way at a time. Each has a deadline: a child that is stopped, or stuck,
must not stop its parent, so both pipes are non-blocking. A request that ran out of time may
still be carried out; its late answer is recognised by its id and dropped.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from softadastra.errors import TransportError
from softadastra.testing.node_messages import READY_ID, error_from_json

__all__ = ["CommandPipe"]

READ_BYTES = 65536
"""One read takes all that a pipe holds by default on Linux (pipe(7))."""


class CommandPipe:
    """The parent's end of a conversation with one child. For one thread at a time.

    Args:
        process: started with both pipes; owned by the caller, who closes the pipe first.
        name: of the child, for errors.
    """

    __slots__ = ("_input", "_last_id", "_name", "_output", "_process", "_received", "_unsent")

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._name = name
        self._input = process.stdin.fileno()
        self._output = process.stdout.fileno()
        self._last_id = READY_ID
        self._unsent = bytearray()
        self._received = bytearray()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)

    def ready(self, timeout: float) -> Any:
        """Wait for the child's first line. Raises like `request`."""
        return self._answer_to(READY_ID, time.monotonic() + timeout)

    def request(self, command: str, arguments: Mapping[str, object], timeout: float) -> Any:
        """Send a command and wait for its result.

        Args:
            command: its name.
            arguments: what JSON carries.
            timeout: seconds.

        Raises:
            TransportError: the child ended, or did not answer in time; whether it did what
                was asked is unknown.
            SoftadastraError: the child refused, with the error that its client raised.
        """
        self._last_id += 1
        line = json.dumps({"id": self._last_id, "command": command, **arguments})
        self._unsent += line.encode() + b"\n"
        return self._answer_to(self._last_id, time.monotonic() + timeout)

    def close(self) -> None:
        """Close both pipes: the child reads the end of its input, and ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def _answer_to(self, wanted: int, deadline: float) -> Any:
        while True:
            answer = json.loads(self._line(deadline))
            if answer["id"] != wanted:
                continue
            if "error" in answer:
                raise error_from_json(answer["error"])
            return answer["result"]

    def _line(self, deadline: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            self._exchange(deadline)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _exchange(self, deadline: float) -> None:
        """Wait until bytes can move, and move them, both ways: a child may block on either."""
        poller = select.poll()
        poller.register(self._output, select.POLLIN)
        if self._unsent:
            poller.register(self._input, select.POLLOUT)
        ready = dict(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not ready:
            raise TransportError(
                f"{self._name} did not answer in time; what was asked may have happened or not",
                node_id=self._name,
            )
        if self._output in ready:
            chunk = os.read(self._output, READ_BYTES)
            if not chunk:
                raise self._ended()
            self._received += chunk
        if self._input in ready:
            try:
                del self._unsent[: os.write(self._input, self._unsent)]
            except BrokenPipeError:
                raise self._ended() from None

    def _ended(self) -> TransportError:
        return TransportError(
            f"the process of {self._name} ended before it answered; what was asked may have "
            "happened or not: restart() it, and see its log",
            node_id=self._name,
        )
