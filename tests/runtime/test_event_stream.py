"""A pipe or a terminal that nobody reads: who tells an event goes on, and the lines that are read
later are whole, with the number of those that are missing."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import socket
import termios
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from softadastra.runtime import event_stream, events
from softadastra.runtime.event_stream import may_hold_up, pieces_of
from softadastra.runtime.events import Events, configure_logging
from softadastra.sync.notices import Level, Notice
from tests.eventually import DEADLINE_SECONDS, eventually

PAGE_BYTES = 4096


@pytest.fixture(autouse=True)
def _restored_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_output", events._output)


class Channel:
    """What is written at one end and read at the other, by this process alone."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self.writing = writing
        self.stream: TextIO = open(writing, "w", encoding="utf-8")  # noqa: SIM115  closed below
        self._filled = 0
        self._text = ""
        os.set_blocking(reading, False)

    def fill(self) -> None:
        """Leave no room, not for a byte; with a descriptor whose flags are its own."""
        own = os.open(f"/proc/self/fd/{self.writing}", os.O_WRONLY | os.O_NONBLOCK)
        for size in (PAGE_BYTES, 1):
            with suppress(BlockingIOError):
                while True:
                    self._filled += os.write(own, b"x" * size)
        os.close(own)

    def empty(self) -> None:
        """Read what it was filled with, and what came before."""
        self.taken()
        assert self._filled == 0

    def read(self, lines: int) -> list[str]:
        """Read what is there, which has so many lines."""
        eventually(lambda: self.taken().count("\n") >= lines)
        text, self._text = self._text, ""
        assert text.count("\n") == lines
        return text.splitlines()

    def events(self, count: int) -> list[dict[str, object]]:
        """Read so many events, each of them whole."""
        return [json.loads(line) for line in self.read(count)]

    def taken(self) -> str:
        """Read what is there; give it with what was read before and not given."""
        with suppress(BlockingIOError):
            while some := os.read(self._reading, 1 << 16):
                self._filled -= some.count(b"x")
                self._text += some.decode().replace("x", "")
        return self._text

    def close_reading(self) -> None:
        os.close(self._reading)
        self._reading = -1

    def reopen_reading(self, path: Path) -> None:
        self._reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.taken()

    def close(self) -> None:
        if self._reading >= 0:
            self.close_reading()
        self.stream.close()


class HeldTerminal(Channel):
    """A terminal, whose reader presses Ctrl-S and Ctrl-Q."""

    def fill(self) -> None:
        termios.tcflow(self.writing, termios.TCOOFF)

    def empty(self) -> None:
        termios.tcflow(self.writing, termios.TCOON)


@pytest.fixture
def pipe() -> Iterator[Channel]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PAGE_BYTES)
    channel = Channel(reading, writing)
    yield channel
    channel.close()


@pytest.fixture
def terminal() -> Iterator[Channel]:
    screen, inside = pty.openpty()
    tty.setraw(inside)
    channel = HeldTerminal(screen, inside)
    yield channel
    channel.close()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each look at a stream would have waited; each does for a moment only."""
    found = []
    look = event_stream.is_ready

    def looked(descriptor: int, wait_seconds: float) -> bool:
        found.append(wait_seconds)
        return look(descriptor, wait_seconds)

    monkeypatch.setattr(event_stream, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(event_stream, "is_ready", looked)
    return found


def emit(n: int, *, level: Level = Level.INFO, **fields: object) -> None:
    Events("node-a").emit(Notice(level, "peer.added", {"n": n, **fields}))


@pytest.fixture(params=["pipe", "terminal"])
def channel(request: pytest.FixtureRequest) -> Channel:
    found: Channel = request.getfixturevalue(request.param)
    return found


def test_lines_that_find_no_room_are_dropped_and_the_next_one_says_how_many(
    channel: Channel,
) -> None:
    configure_logging("info", "json", channel.stream)
    channel.fill()
    for n in range(3):
        emit(n)
    channel.empty()
    emit(3)
    emit(4)

    missed, *rest = channel.events(3)
    facts = (missed["event"], missed["level"], missed["node_id"], missed["count"])
    assert facts == ("log.missed", "warning", "node-a", 3)
    assert [line["n"] for line in rest] == [3, 4]


@pytest.mark.parametrize("level", ["info", "error"])
def test_people_are_told_too_and_who_wants_errors_only(pipe: Channel, level: str) -> None:
    configure_logging(level, "console", pipe.stream)
    pipe.fill()
    emit(1, level=Level.ERROR)
    pipe.empty()
    emit(2, level=Level.ERROR)

    missed, line = pipe.read(2)
    assert "[warning  ] log.missed" in missed
    assert missed.endswith("node_id=node-a count=1")
    assert line.endswith("n=2")


def test_lines_wait_for_room_once_until_the_stream_takes_one_again(
    pipe: Channel, waits: list[float]
) -> None:
    configure_logging("info", "json", pipe.stream)
    pipe.fill()
    emit(0)
    in_vain = waits.copy()
    waits.clear()
    for n in (1, 2):
        emit(n)
    waited = max(waits)
    pipe.empty()
    emit(3)
    pipe.fill()
    waits.clear()
    emit(4)

    assert (max(in_vain) > 0, waited) == (True, 0)
    assert waits[0] > 0


def test_a_line_waits_for_a_reader_that_comes_in_time(
    pipe: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_meanwhile(*_: object) -> bool:
        pipe.empty()
        return True

    configure_logging("info", "json", pipe.stream)
    pipe.fill()
    monkeypatch.setattr(event_stream, "WAIT_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr(event_stream, "is_ready", read_meanwhile)
    emit(1)

    assert [line["n"] for line in pipe.events(1)] == [1]


def test_of_what_is_told_together_whole_lines_leave(pipe: Channel) -> None:
    configure_logging("info", "json", pipe.stream)
    told = [Notice(Level.INFO, "peer.added", {"n": n, "pad": "-" * 900}) for n in range(20)]
    Events("node-a").emit(*told)
    first = [line["n"] for line in pipe.events(4)]
    emit(20)

    missed, last = pipe.events(2)
    assert first == [0, 1, 2, 3]
    assert missed["count"] == 16
    assert last["n"] == 20


def test_a_line_of_which_a_part_has_left_goes_on_when_there_is_room(
    channel: Channel, waits: list[float]
) -> None:
    """A terminal is ready as soon as it takes one byte: a blocking write would wait for all."""
    sent = [1, 2]
    configure_logging("info", "json", channel.stream)
    emit(1, pad="-" * 300_000)
    waits.clear()
    emit(2)
    waited = max(waits, default=0)

    def goes_on() -> bool:
        sent.append(sent[-1] + 1)
        emit(sent[-1])
        return channel.taken().count("\n") > 2

    eventually(goes_on)
    eventually(lambda: channel.taken().endswith(f'"n":{sent[-1]}}}\n'))

    long, missed, *rest = map(json.loads, channel.taken().splitlines())
    assert (long["n"], len(long["pad"]), waited) == (1, 300_000, 0)
    assert missed["event"] == "log.missed"
    assert missed["count"] > 0
    assert [line["n"] for line in rest] == list(range(missed["count"] + 2, sent[-1] + 1))


def test_who_fills_the_pipe_just_before_holds_nobody_up(
    pipe: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another process does that shares it, between the look and the write."""

    def fill(*_: object) -> bool:
        pipe.fill()
        return True

    configure_logging("info", "json", pipe.stream)
    pipe.fill()
    monkeypatch.setattr(event_stream, "WAIT_SECONDS", 0.0)
    emit(1)
    emit(2)
    with monkeypatch.context() as patch:
        patch.setattr(event_stream, "is_ready", fill)
        emit(3)
    pipe.empty()
    emit(4)

    missed, line = pipe.events(2)
    assert (missed["count"], line["n"]) == (3, 4)


def test_a_socket_is_written_when_it_is_ready() -> None:
    """As a service manager gives one; it cannot be opened a second time."""
    near, far = socket.socketpair()
    with far, os.fdopen(near.detach(), "w") as stream:
        configure_logging("info", "json", stream)
        for n in range(300):
            emit(n, pad="-" * 3_000)
        far.setblocking(False)
        taken = b""
        with suppress(BlockingIOError):
            while True:
                taken += far.recv(1 << 16)
        emit(300)
        missed, last = map(json.loads, far.recv(1 << 16).splitlines())

    numbers = [json.loads(line)["n"] for line in taken.splitlines()]
    assert numbers == list(range(300 - missed["count"]))
    assert 0 < missed["count"] < 300
    assert last["n"] == 300


def test_what_others_left_in_the_buffer_of_the_stream_does_not_hold_up_an_event(
    pipe: Channel,
) -> None:
    configure_logging("info", "json", pipe.stream)
    pipe.fill()
    pipe.stream.write("Working ...")
    emit(1)
    pipe.empty()
    pipe.stream.write(" done\n")
    pipe.stream.flush()

    assert pipe.read(1) == ["Working ... done"]


def test_the_flags_of_the_descriptor_stay_as_they_are(pipe: Channel) -> None:
    before = fcntl.fcntl(pipe.writing, fcntl.F_GETFL)
    configure_logging("info", "json", pipe.stream)
    emit(1)
    pipe.fill()
    emit(2)

    assert fcntl.fcntl(pipe.writing, fcntl.F_GETFL) == before
    assert os.get_blocking(pipe.writing)


def test_a_file_under_the_number_of_a_closed_stream_gets_no_lines(
    pipe: Channel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", "json", pipe.stream)
    pipe.stream.close()
    with (tmp_path / "other").open("w") as other:
        assert other.fileno() == pipe.writing
        emit(1)

    assert (tmp_path / "other").read_text() == ""
    assert "closed file" in capsys.readouterr().err


def test_an_event_is_lost_while_a_fifo_has_no_reader_and_the_line_before_it_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fifo = Channel(reading, os.open(path, os.O_WRONLY))
    fcntl.fcntl(fifo.writing, fcntl.F_SETPIPE_SZ, PAGE_BYTES)
    configure_logging("info", "json", fifo.stream)
    emit(1, pad="-" * (PAGE_BYTES + 100))
    fifo.close_reading()
    emit(2)
    fifo.reopen_reading(path)
    emit(3)
    long, line = fifo.events(2)
    fifo.close()

    assert (long["n"], line["n"]) == (1, 3)
    assert capsys.readouterr().err.count("Broken pipe") == 1


def test_only_a_stream_of_the_system_that_may_be_full_is_asked_for_room(
    pipe: Channel, terminal: Channel, tmp_path: Path
) -> None:
    class Escaped(io.TextIOWrapper):
        """Makes something else of what is written to it."""

    with (
        (tmp_path / "file").open("w") as file,
        os.fdopen(os.dup(pipe.writing), "wb", 0) as raw,
        Escaped(io.FileIO(os.dup(pipe.writing), "w")) as escaped,
        io.TextIOWrapper(raw, write_through=True) as unbuffered,
    ):
        asked = [pipe.stream, terminal.stream, unbuffered]
        others = [file, escaped, io.StringIO(), io.TextIOWrapper(io.BytesIO()), None]

        assert [may_hold_up(stream) for stream in asked] == [True] * 3
        assert [may_hold_up(stream) for stream in others] == [False] * 5


def test_pieces_are_whole_lines_and_a_pipe_takes_each_at_once() -> None:
    lines = [b"-" * size + b"\n" for size in (10, 4000, 4095, 4096, 9000, 0, 1)]
    pieces = list(pieces_of(b"".join(lines)))

    assert b"".join(pieces) == b"".join(lines)
    assert [len(piece) for piece in pieces] == [4012, 4096, 4097, 9001, 3]
