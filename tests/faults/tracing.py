"""What a process says to the system, and answers of the system that are made up: strace."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from softadastra.testing import wait_until
from tests.faults.requirements import need, need_root, need_tool

__all__ = ["Call", "calls_of", "traced"]

DEADLINE_SECONDS = 30.0

BEGUN = re.compile(r"(\d+) +(\w+)\((.*)")
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
UNFINISHED = " <unfinished ...>"
FIRST = re.compile(r"\d+<([^>]*)>")
"""The first argument: a descriptor and what it is."""
BUFFER = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
RESULT = re.compile(r"\) += (-?\d+)[^)]*(?:\(.*\))?$")


class Call(NamedTuple):
    """One call to the system that has returned."""

    name: str
    target: str
    """A path, or the two ends of a connection."""
    data: bytes
    """What was read or written."""
    result: int
    began: int
    """When: a line of the log. What was caused by the end of a call begins behind it."""
    ended: int


@contextmanager
def traced(pid: int, log: Path, *options: str, but_main_thread: bool = False) -> Iterator[None]:
    """Trace a process while the block runs.

    Args:
        pid: of the process.
        log: gets its calls, see `calls_of`.
        options: of strace: which calls, and what becomes of them. It counts calls by thread.
        but_main_thread: whether to leave out the thread that writes for the parent of a node:
            then what writes is what rewrites the log.
    """
    need_root()
    need_tool("strace", "strace")
    said = log.with_suffix(".said")
    command = ["strace", "-o", str(log), "-yy", "-xx", "-s", "1000000", *options]
    if but_main_thread:
        threads = {int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()} - {pid}
        command += [option for thread in threads for option in ("-p", str(thread))]
    else:
        threads = {pid}
        command += ["-f", "-p", str(pid)]
    with said.open("w") as errors, subprocess.Popen(command, stderr=errors) as tracer:
        try:
            wait_until(
                lambda: (
                    tracer.poll() is not None or said.read_text().count("attached") == len(threads)
                ),
                DEADLINE_SECONDS,
            )
            need(tracer.poll() is None, f"strace is not allowed here: {said.read_text()}")
            yield
        finally:
            # It lets go of the process, which goes on.
            tracer.terminate()
            tracer.wait(DEADLINE_SECONDS)


def calls_of(log: Path) -> list[Call]:
    """Read what was traced, in the order in which it returned."""
    calls = []
    unfinished: dict[tuple[str, str], tuple[int, str]] = {}
    for number, line in enumerate(log.read_text().splitlines()):
        if begun := BEGUN.fullmatch(line):
            pid, name, text = begun.groups()
            if text.endswith(UNFINISHED):
                unfinished[pid, name] = number, text.removesuffix(UNFINISHED)
                continue
            began = number
        elif resumed := RESUMED.fullmatch(line):
            pid, name, rest = resumed.groups()
            began, text = unfinished.pop((pid, name))
            text += rest
        else:
            continue
        if result := RESULT.search(text):
            calls.append(call_of(name, text, int(result[1]), began, number))
    return calls


def call_of(name: str, text: str, result: int, began: int, ended: int) -> Call:
    target, buffer = FIRST.match(text), BUFFER.search(text)
    return Call(
        name,
        unescaped(target[1]).decode() if target else "",
        unescaped(buffer[1])[: max(0, result)] if buffer else b"",
        result,
        began,
        ended,
    )


def unescaped(text: str) -> bytes:
    return re.sub(
        rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), text.encode("latin-1")
    )
