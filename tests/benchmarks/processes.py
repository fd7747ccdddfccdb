"""Run each measurement in a process of its own, so that no side inherits the other's heap."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from .measure import LeftOutError
from .profiles import is_profiling, profiled_role
from .workload import DEADLINE_SECONDS

__all__ = ["Channel", "Child", "in_process"]

Channel = Connection
"""A child's end of the pipe to the benchmark."""

PROFILE_SECONDS = 10.0
"""For a child that has answered to end by itself, while it is profiled."""

_spawn = multiprocessing.get_context("spawn")  # a forked ZeroMQ context does not work


@dataclass(frozen=True, slots=True)
class _Failure:
    traceback: str


@dataclass(frozen=True, slots=True)
class _LeftOut:
    reason: str


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
            LeftOutError: the child cannot do here what it is to measure.
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
            case _LeftOut(reason=reason):
                raise LeftOutError(reason)
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
        if is_profiling() and exception is None:
            self._process.join(PROFILE_SECONDS)  # it writes its profile when it is done
        self._process.terminate()
        self._process.join()
        self._process.close()


def in_process(work: Callable[..., Any], *arguments: object) -> Any:
    """Run a measurement in a new process and return its result."""
    with Child(_measure, work, arguments) as child:
        return child.receive()


def _measure(
    channel: Channel[Any, Any], work: Callable[..., Any], arguments: tuple[object, ...]
) -> None:
    channel.send(work(*arguments))


def _run(
    channel: Channel[Any, Any], role: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    name = getattr(arguments[0], "__name__", "") if role is _measure else role.__name__
    try:
        with profiled_role(name.strip("_")):
            role(channel, *arguments)
    except LeftOutError as reason:
        channel.send(_LeftOut(str(reason)))
    except Exception:
        channel.send(_Failure(traceback.format_exc()))
