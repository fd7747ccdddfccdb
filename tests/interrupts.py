"""KeyboardInterrupt at the N-th place where the interpreter may raise one.

CPython runs signal handlers at a few kinds of instruction only: after a call, at the beginning of
a function, and on a jump backwards. A line that ends a `with` is none of them: an exception there
would leave its lock taken, and no program could prevent it. So places are told by instruction, and
an exception must go to the handler of the instruction that raises it.
"""

from __future__ import annotations

import dis
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from types import CodeType, FrameType
from typing import Any
from weakref import WeakSet

DEADLINE_SECONDS = 10.0

LOOKING = tuple(
    number
    for name, number in dis.opmap.items()
    if name.startswith(("CALL", "RESUME")) or "BACKWARD" in name
)
"""Instructions after which the interpreter looks for signals."""

SPARED = (
    threading.Thread.start.__code__,
    threading.Thread.join.__code__,
    *(each for each in WeakSet.__init__.__code__.co_consts if isinstance(each, CodeType)),
)


def is_spared(frame: FrameType | None) -> bool:
    """Whether CPython itself breaks, or swallows, an interrupt here.

    Threads are started and joined by Conditions, and one that is interrupted while it is entered
    stays locked; so do the locks of logging, when events are on. What `__del__` and callbacks of
    weak references raise is raised nowhere.
    """
    while frame is not None:
        code = frame.f_code
        if code in SPARED or code.co_name == "__del__" or code.co_filename == logging.__file__:
            return True
        frame = frame.f_back
    return False


@cache
def is_place(code: CodeType, before: int, at: int) -> bool:
    """Whether an exception at an instruction is what the one before it could have raised."""
    return code.co_code[before] in LOOKING and handler_of(code, before) == handler_of(code, at)


def handler_of(code: CodeType, at: int) -> int | None:
    """Where an exception of an instruction goes; None: to the caller."""
    entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]  # typeshed lacks it
    return next((entry.target for entry in entries if entry.start <= at < entry.end), None)


class Interrupts:
    """Raises KeyboardInterrupt in this thread, at one place of the block.

    Args:
        at: which place, counted from 1.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.is_paused = False
        self.where = "nowhere"
        self._last: dict[FrameType, int] = {}

    @property
    def has_come(self) -> bool:
        return self.count >= self.at

    def __enter__(self) -> Interrupts:
        # The collector would run callbacks of what other tests have left, and those swallow it.
        gc.disable()
        sys.settrace(self._trace)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(None)
        gc.enable()
        return kind is KeyboardInterrupt

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename == __file__ or self.has_come or is_spared(frame):
            return None
        frame.f_trace_opcodes = True
        if event == "exception":
            # The call failed: its handler is next, and no look for signals comes in between.
            self._last.pop(frame, None)
        elif event == "opcode":
            code, at = frame.f_code, frame.f_lasti
            before = self._last.get(frame)
            self._last[frame] = at
            if before is not None and not self.is_paused and is_place(code, before, at):
                self.count += 1
                if self.has_come:
                    self._last.clear()
                    self.where = f"{code.co_filename}:{frame.f_lineno} ({code.co_qualname})"
                    raise KeyboardInterrupt
        elif event == "return":
            self._last.pop(frame, None)
        return self._trace


def every_interrupt(limit: int = 5_000, step: int = 1) -> Iterator[Interrupts]:
    """Give an interrupt for each place in turn, until a block ended before it came.

    Args:
        limit: the most places that there may be.
        step: of how many places one is tried.
    """
    for at in count(1, step):
        interrupts = Interrupts(at)
        yield interrupts
        if not interrupts.has_come:
            assert at > 10, "nothing was traced"
            return
        assert at < limit


def in_time(function: Callable[[], object]) -> object:
    """Run a function in another thread, and give what it returned or raised.

    Raises:
        AssertionError: it did not come back.
    """
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(function())
        except Exception as error:  # for the caller to look at
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive(), f"{function} hangs"
    return outcome[0]


@contextmanager
def one_signal() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Have a signal raise KeyboardInterrupt in the main thread, once.

    Gives what sends it, from another thread, until a condition holds. One alone may end no wait:
    CPython looks for signals, and then waits, and does not hear of one that comes in between.
    """
    main = threading.main_thread().ident
    assert main is not None
    has_come = False

    def interrupt(*_: object) -> None:
        nonlocal has_come
        if not has_come:
            has_come = True
            raise KeyboardInterrupt

    def send(condition: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < end, "the main thread goes on waiting"
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.001)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield send
    finally:
        signal.signal(signal.SIGINT, before)
