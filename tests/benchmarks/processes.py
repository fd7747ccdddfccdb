"""Run each measurement in a process of its own, so that no side inherits the other's heap."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from .workload import DEADLINE_SECONDS

__all__ = ["Channel", "Child", "in_process"]

Channel = Connection
"""A child's end of the pipe to the benchmark."""

_spawn = multiprocessing.get_context("spawn")  # a forked ZeroMQ context does not work


@dataclass(frozen=True, slots=True)
class _Failure:
    traceback: str


class Child:
    """A process that runs `role(channel, *arguments)` and answers over the channel.

    A context manager: leaving it ends the process, whatever it does.
    """

    def __init__(self, role: Callable[..., None], *arguments: object) -> None:
        self._name = role.__name__
        self._channel, remote = _spawn.Pipe()
        self._process = _spawn.Process(target=_run, args=(remote, role, arguments), daemon=True)
        self._process.start()
        remote.close()

    def send(self, message: object) -> None:
        """Hand the child a message."""
        self._channel.send(message)

    def receive(self) -> Any:
        """Wait for the child's next answer.

        Raises:
            RuntimeError: the child failed, ended or was silent for `DEADLINE_SECONDS`.
        """
        if not self._channel.poll(DEADLINE_SECONDS):
            raise RuntimeError(f"{self._name}: no answer in {DEADLINE_SECONDS:.0f} s")
        try:
            answer = self._channel.recv()
        except EOFError as error:
            raise RuntimeError(f"{self._name}: ended without an answer") from error
        match answer:
            case _Failure(traceback=trace):
                raise RuntimeError(f"{self._name} failed:\n{trace}")
            case _:
                return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()
        self._process.terminate()
        self._process.join()
        self._process.close()


def in_process(work: Callable[..., float], *arguments: object) -> float:
    """Run a measurement in a new process and return its result."""
    with Child(_measure, work, arguments) as child:
        return float(child.receive())


def _measure(
    channel: Channel[Any, Any], work: Callable[..., float], arguments: tuple[object, ...]
) -> None:
    channel.send(work(*arguments))


def _run(
    channel: Channel[Any, Any], role: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    try:
        role(channel, *arguments)
    except Exception:
        channel.send(_Failure(traceback.format_exc()))
