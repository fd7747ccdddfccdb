"""A child answers, can be stopped, continued and killed at any time, and never stays behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from softadastra.errors import InternalError, InvalidStateError, NotFoundError, TransportError
from softadastra.testing import ProcessState, wait_until
from softadastra.testing.child_process import ChildProcess
from softadastra.testing.command_pipe import CommandPipe
from tests.processes import has_ended, process_status

CHILD = """
import json, sys, time

def answer(command_id, **outcome):
    print(json.dumps({"id": command_id, **outcome}), flush=True)

answer(0, result="ready")
withheld = None
for line in sys.stdin:
    command = json.loads(line)
    match command["command"]:
        case "echo":
            if withheld is not None:
                answer(withheld, result="late")
            answer(command["id"], result=command["text"])
        case "refuse":
            answer(command["id"], error={"type": "NotFoundError", "message": "no such thing"})
        case "withhold":
            withheld = command["id"]
        case "fail":
            sys.exit("broken by request")
"""

PARENT = """
import sys
from pathlib import Path
from softadastra.testing.child_process import ChildProcess

children = [ChildProcess(name, Path(sys.argv[1], name)) for name in ("running", "paused")]
for child in children:
    child.start([sys.executable, "-c", sys.argv[2]])
    child.ready()
children[1].pause()
print(*(child.pid for child in children), flush=True)
sys.stdin.read()
"""

DEADLINE_SECONDS = 30.0


@contextmanager
def running(tmp_path: Path, program: str = CHILD) -> Iterator[ChildProcess]:
    child = ChildProcess("child", tmp_path / "child.log")
    child.start([sys.executable, "-c", program])
    try:
        assert child.ready() == "ready"
        yield child
    finally:
        child.kill()


def test_requests_larger_than_a_pipe_are_answered_whole(tmp_path: Path) -> None:
    text = "x" * 1_000_000

    with running(tmp_path) as child:
        assert child.request("echo", text=text) == text


def test_a_refusal_raises_the_error_that_it_names(tmp_path: Path) -> None:
    with running(tmp_path) as child, pytest.raises(NotFoundError, match="no such thing"):
        child.request("refuse")


def test_a_late_answer_is_not_taken_for_that_of_the_next_request() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        pipe = CommandPipe(process, "child")
        pipe.ready(DEADLINE_SECONDS)

        with pytest.raises(TransportError, match="did not answer in time"):
            pipe.request("withhold", {}, 0.05)

        assert pipe.request("echo", {"text": "next"}, DEADLINE_SECONDS) == "next"
        pipe.close()


def test_a_paused_process_stands_still_and_is_not_asked(tmp_path: Path) -> None:
    with running(tmp_path) as child:
        child.pause()

        assert process_status(child.pid) == "T"
        assert child.state is ProcessState.PAUSED
        with pytest.raises(InvalidStateError, match=r"child.*paused.*resume"):
            child.request("echo", text="")

        child.resume()

        assert child.request("echo", text="awake") == "awake"


def test_a_kill_ends_the_request_under_way(tmp_path: Path) -> None:
    with running(tmp_path) as child, ThreadPoolExecutor(1) as pool:
        request = pool.submit(child.request, "withhold")
        child.kill()

        with pytest.raises((TransportError, InvalidStateError)):
            request.result(DEADLINE_SECONDS)
        assert child.state is ProcessState.KILLED
        with pytest.raises(InvalidStateError, match=r"killed.*restart"):
            child.request("echo", text="")


def test_a_paused_process_can_be_killed_and_one_that_ended_again(tmp_path: Path) -> None:
    with running(tmp_path) as child:
        child.pause()
        child.kill()
        child.kill()

        assert child.state is ProcessState.KILLED


def test_a_process_that_ends_by_itself_is_seen_and_can_be_started_again(tmp_path: Path) -> None:
    with running(tmp_path) as child:
        with pytest.raises(TransportError, match="child ended"):
            child.request("fail")
        assert wait_until(lambda: child.state is ProcessState.KILLED, DEADLINE_SECONDS)

        child.start([sys.executable, "-c", CHILD])

        assert child.ready() == "ready"


def test_a_running_process_is_not_started_twice(tmp_path: Path) -> None:
    with running(tmp_path) as child, pytest.raises(InvalidStateError, match="running"):
        child.start([sys.executable, "-c", CHILD])


def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    child = ChildProcess("child", tmp_path / "child.log")
    child.start([sys.executable, "-c", "raise SystemExit('no such port')"])

    with pytest.raises(TransportError) as raised:
        child.ready()

    assert "no such port" in "".join(raised.value.__notes__)
    assert child.state is ProcessState.KILLED


def test_close_lets_a_paused_process_go_on_and_end_by_itself(tmp_path: Path) -> None:
    with running(tmp_path, CHILD + "print('closed', file=sys.stderr)") as child:
        child.pause()
        child.close()
        child.close()

        assert child.state is ProcessState.KILLED
        assert (tmp_path / "child.log").read_text() == "closed\n"


def test_close_reports_a_process_that_fails(tmp_path: Path) -> None:
    with (
        running(tmp_path, CHILD + "sys.exit('broken at the end')") as child,
        pytest.raises(InternalError, match=r"status 1(.|\n)*broken at the end"),
    ):
        child.close()


def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    """A stopped child cannot read that its input ended: the kernel ends its orphaned group."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert process_status(pids[1]) == "T"

        parent.send_signal(signal.SIGKILL)

    assert wait_until(lambda: all(map(has_ended, pids)), DEADLINE_SECONDS)
