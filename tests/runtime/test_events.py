"""What reaches an application's logs, and what must never: values, stdout, an exception."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from softadastra.errors import InvalidArgumentError, StorageError
from softadastra.runtime import event_file, events
from softadastra.runtime.event_file import EventFile
from softadastra.runtime.events import Events, configure_logging
from softadastra.runtime.json_lines import RESERVED_NAMES
from softadastra.sync.notices import Accepted, Level, Notice, Told


@pytest.fixture(autouse=True)
def _restored_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(events, "_output", events._Output(threshold=Level.WARNING))
    yield
    configure_logging(stream=io.StringIO())


def connected(level: Level = Level.INFO, /, **fields: object) -> Notice:
    return Notice(level, "peer.connected", fields)


def emitted(notice: Notice, **options: Any) -> str:
    stream = io.StringIO()
    configure_logging("debug", stream=stream, **options)
    Events("node-a").emit(notice)
    return stream.getvalue()


def json_fields(**fields: object) -> dict[str, object]:
    line = emitted(Notice(Level.INFO, "peer.connected", fields), format="json")
    return cast(
        dict[str, object],
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")),
    )


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )


SILENT_PROGRAM = """
import sys
from softadastra.runtime.events import Events
from softadastra.sync.notices import Level, Notice
node = Events("node-a")
node.emit(Notice(Level.INFO, "peer.connected", {"peer": "node-b"}))
assert "structlog" not in sys.modules
node.emit(Notice(Level.ERROR, "wal.write_failed", {"path": "a.wal"}))
assert "structlog" in sys.modules
"""


def test_default_is_silent_and_imports_structlog_at_the_first_enabled_event() -> None:
    finished = run_python(SILENT_PROGRAM)

    assert (finished.stdout, finished.stderr) == ("", "")


def test_default_stream_is_stderr_and_stdout_stays_empty() -> None:
    finished = run_python(
        "from softadastra.runtime.events import Events, configure_logging\n"
        "from softadastra.sync.notices import Level, Notice\n"
        "configure_logging(format='json')\n"
        "Events('node-a').emit(Notice(Level.INFO, 'peer.connected', {'peer': 'node-b'}))\n"
    )

    assert finished.stdout == ""
    assert json.loads(finished.stderr)["event"] == "peer.connected"


def test_warnings_reach_an_application_that_configured_standard_logging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        Events("node-a").emit(connected(Level.INFO))
        Events("node-a").emit(Notice(Level.WARNING, "peer.refused", {"peer": "node-b"}))

    assert (caplog.record_tuples) == [
        ("softadastra", logging.WARNING, "peer.refused node_id=node-a peer=node-b")
    ]


def test_configured_output_replaces_the_standard_logger(caplog: pytest.LogCaptureFixture) -> None:
    line = emitted(connected(Level.ERROR))

    assert "peer.connected" in line
    assert caplog.records == []


def test_json_line_has_event_level_node_id_time_and_fields() -> None:
    before_ms = time.time_ns() // 1_000_000
    line = emitted(connected(Level.WARNING, peer="node-b", lag=7), format="json")
    after_ms = time.time_ns() // 1_000_000

    assert line.endswith("}\n")
    assert line.count("\n") == 1
    event = json.loads(line)
    assert before_ms <= event.pop("ts") <= after_ms
    assert event == {
        "event": "peer.connected",
        "level": "warning",
        "node_id": "node-a",
        "peer": "node-b",
        "lag": 7,
    }


def test_console_line_shows_the_same_without_colours_off_a_terminal() -> None:
    line = emitted(connected(peer="node-b", reason="no route"))

    assert "\x1b" not in line
    assert "[info     ] peer.connected" in line
    assert line.endswith("node_id=node-a peer=node-b reason='no route'\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_colour", "is_coloured"), [("", True), ("1", False)])
def test_terminal_gets_colours_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, no_colour: str, is_coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    terminal = Terminal()
    configure_logging(stream=terminal)
    Events("node-a").emit(connected())

    assert is_coloured == ("\x1b[" in terminal.getvalue())


def test_a_peers_control_characters_do_not_reach_the_terminal() -> None:
    line = emitted(connected(peer="b\x1b[2J\r\nforged [info] line"))

    assert line.count("\n") == 1
    assert line.isascii()
    assert line.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    ("threshold", "enabled"),
    [
        ("debug", [Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR]),
        ("info", [Level.INFO, Level.WARNING, Level.ERROR]),
        ("warning", [Level.WARNING, Level.ERROR]),
        ("error", [Level.ERROR]),
    ],
)
def test_level_limits_is_enabled_and_emit_alike_for_nodes_made_before(
    threshold: str, enabled: list[Level]
) -> None:
    node = Events("node-a")
    stream = io.StringIO()
    configure_logging(threshold, "json", stream)
    for level in Level:
        node.emit(connected(level))

    written = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert [level.name.lower() for level in enabled] == written
    assert enabled == [level for level in Level if node.is_enabled(level)]


def test_only_warnings_are_enabled_before_anything_is_configured() -> None:
    node = Events("node-a")

    assert [level for level in Level if node.is_enabled(level)] == [Level.WARNING, Level.ERROR]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


CYCLE: list[object] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**64 - 1, 2**64 - 1),
        (10**5_000, "integer of 16610 bits"),
        (Level.WARNING, 30),
        ("\ud800", "\ud800"),
        ((1, None), [1, None]),
        ({1: {"a": True}}, {"1": {"a": True}}),
        ({7}, [7]),
        (Path("a.wal"), "a.wal"),
        (Unprintable(), "Unprintable that raised RuntimeError when it was logged"),
        (CYCLE, [[[["list of 1"]]]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_odd_field_values_are_rendered_as_valid_json(value: object, shown: object) -> None:
    assert shown == json_fields(odd=value)["odd"]


def test_bytes_are_never_shown_because_they_may_be_user_data() -> None:
    lines = emitted(connected(a=b"secret", b=[bytearray(b"secret")], c=memoryview(b"secret")))
    lines += emitted(connected(a=b"secret"), format="json")

    assert lines.count("6 bytes") == 4
    assert "secret" not in lines


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
@pytest.mark.parametrize("form", ["console", "json"])
def test_field_of_a_reserved_name_keeps_its_value_under_a_marked_name(name: str, form: str) -> None:
    line = emitted(Notice(Level.INFO, "peer.connected", {name: "mine"}), format=form)

    assert "peer.connected" in line
    assert (f'"{name}_":"mine"' if form == "json" else f"{name}_=mine") in line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"level": "verbose"}, "expected one of debug, info, warning, error"),
        ({"level": 20}, "expected one of debug, info, warning, error"),
        ({"format": "xml"}, "expected console or json"),
        ({"stream": io.StringIO(), "file": "a.log"}, "give one of the two"),
        ({"stream": "a.log"}, "give a path as `file`"),
        ({"file": 3}, "expected a path"),
    ],
)
def test_bad_option_is_refused_and_changes_nothing(options: dict[str, Any], expected: str) -> None:
    output = events._output

    with pytest.raises(InvalidArgumentError, match=expected):
        configure_logging(**options)
    assert output is events._output


def test_closed_stream_is_refused() -> None:
    stream = io.StringIO()
    stream.close()

    with pytest.raises(InvalidArgumentError, match="expected an open text stream"):
        configure_logging(stream=stream)


def test_unwritable_file_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "node.log"

    with pytest.raises(StorageError) as caught:
        configure_logging(file=path)
    assert str(path) == caught.value.filename
    assert caught.value.errno


def test_file_is_appended_to_and_followed_when_it_is_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_file, "LOOK_SECONDS", 0)
    path = tmp_path / "node.log"
    path.write_text("earlier\n")
    configure_logging("info", "json", file=path)
    Events("node-a").emit(connected(n=1))
    path.rename(tmp_path / "node.log.1")
    Events("node-a").emit(connected(n=2))

    rotated = (tmp_path / "node.log.1").read_text().splitlines()
    assert rotated[0] == "earlier"
    assert [json.loads(line)["n"] for line in rotated[1:]] == [1]
    assert json.loads(path.read_text())["n"] == 2


def test_a_file_is_followed_a_moment_later_and_what_comes_before_is_in_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    path = tmp_path / "node.log"
    configure_logging("info", "json", file=path)
    Events("node-a").emit(connected(n=0))
    path.rename(tmp_path / "node.log.1")
    for n in (1, 2, 3):
        Events("node-a").emit(connected(n=n))
        seconds[0] += event_file.LOOK_SECONDS / 2 + 0.001

    rotated = (tmp_path / "node.log.1").read_text().splitlines()
    assert [json.loads(line)["n"] for line in rotated] == [0, 1, 2]
    assert json.loads(path.read_text())["n"] == 3


def test_an_event_that_comes_after_the_file_was_closed_opens_it_again(tmp_path: Path) -> None:
    """As at the end of a process, when Python's logging closes its handlers."""
    path = tmp_path / "node.log"
    handler = EventFile(path)
    handler.append("early")
    handler.close()
    handler.close()
    with (tmp_path / "another").open("w") as another:
        handler.append("late")
        handler.close()

    assert path.read_text() == "early\nlate\n"
    assert (another.closed, (tmp_path / "another").read_text()) == (True, "")


def test_replaced_file_is_closed_and_a_callers_stream_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    opened = EventFile._open

    def recorded(self: EventFile) -> io.TextIOWrapper:
        files.append(opened(self))
        return files[-1]

    monkeypatch.setattr(EventFile, "_open", recorded)
    configure_logging(file=tmp_path / "node.log")
    stream = io.StringIO()
    configure_logging(stream=stream)
    configure_logging(stream=io.StringIO())

    assert [file.closed for file in files] == [True]
    assert not stream.closed


class Counted(io.StringIO):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_events_that_are_told_together_are_written_with_one_call_of_the_system() -> None:
    stream = Counted()
    configure_logging("info", "json", stream)
    Events("node-a").emit(connected(n=1), connected(Level.DEBUG, n=2), connected(n=3))
    Events("node-a").emit(connected(Level.DEBUG, n=4))

    assert [json.loads(line)["n"] for line in stream.getvalue().splitlines()] == [1, 3]
    assert stream.writes == 1


def test_json_lines_are_those_that_a_plain_encoder_makes() -> None:
    fields = {"peer": 'é"\\\n', "batches": [1, 2], "sync_id": ["a-1..2", "ü"], "durable": True}
    fields |= {"none": [], "nothing": None, "n": -7, "no": False, "part": 0.5}

    line = emitted(Notice(Level.DEBUG, "batch.sent", fields), format="json")

    event = json.loads(line)
    assert line == json.dumps(event, separators=(",", ":")) + "\n"
    assert {name: event[name] for name in fields} == fields


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("form", ["json", "console"])
def test_writes_that_are_told_together_have_the_lines_that_each_would_have(
    form: str, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_795_420_323_537_000_000)
    together = Accepted('node-"a', 9, ["plain", 'é"\\\n', ""], durable=durable)
    apart = list(together.notices())
    streams = [io.StringIO(), io.StringIO()]
    told: tuple[list[Told], list[Told]] = ([together], [*apart])
    for stream, notices in zip(streams, told, strict=True):
        configure_logging("debug", form, stream)
        Events('node-"a').emit(*notices)

    assert [notice.fields["sync_id"] for notice in apart] == [f'node-"a-{n}' for n in (9, 10, 11)]
    assert streams[0].getvalue() == streams[1].getvalue()
    assert streams[0].getvalue().count("\n") == 3


def test_json_lines_do_without_structlog() -> None:
    finished = run_python(
        "import io, sys\n"
        "from softadastra.runtime.events import Events, configure_logging\n"
        "from softadastra.sync.notices import Level, Notice\n"
        "configure_logging('debug', 'json', io.StringIO())\n"
        "Events('node-a').emit(Notice(Level.DEBUG, 'write.accepted', {'sync_id': 'node-a-1'}))\n"
        "print('structlog' in sys.modules)\n"
    )

    assert finished.stdout == "False\n"


class FullDisk(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("form", ["console", "json"])
def test_stream_that_fails_is_reported_on_stderr_and_does_not_raise(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    configure_logging(format=form, stream=FullDisk())
    Events("node-a").emit(connected())

    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_whose_directory_goes_is_reported_and_written_again_when_it_is_back(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    monkeypatch.setattr(event_file, "LOOK_SECONDS", 0)
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "node.log"
    configure_logging(format=form, file=path)
    path.unlink()
    folder.rmdir()
    for _ in range(2):
        Events("node-a").emit(connected(n=1))
    reported = capsys.readouterr().err
    folder.mkdir()
    Events("node-a").emit(connected(n=2))

    assert reported.count("--- Logging error ---") == 2
    assert "No such file or directory" in reported
    assert len(path.read_text().splitlines()) == 1


def test_what_a_full_disk_cuts_off_spoils_no_other_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.log"
    configure_logging("info", "json", file=path)
    write, room = os.write, [7]

    def until_it_is_full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken = write(descriptor, data[: room[0]])
        room[0] -= taken
        return taken

    Events("node-a").emit(connected(n=1))
    with monkeypatch.context() as patch:
        patch.setattr("os.write", until_it_is_full)
        Events("node-a").emit(connected(n=2))
        Events("node-a").emit(connected(n=3))
    Events("node-a").emit(connected(n=4), connected(n=5))
    Events("node-a").emit(connected(n=6))

    first, cut, *rest = path.read_text().splitlines()
    assert json.loads(first)["n"] == 1
    assert cut == first[:7]
    assert [json.loads(line)["n"] for line in rest] == [4, 5, 6]
    assert capsys.readouterr().err.count("--- Logging error ---") == 2


def test_a_file_that_takes_a_part_at_a_time_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.log"
    configure_logging("info", "json", file=path)
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: write(descriptor, data[:10]))
    Events("node-a").emit(connected(n=1), connected(n=2))
    Events("node-a").emit(connected(n=3))

    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_threads_write_whole_lines_while_the_output_is_replaced(tmp_path: Path) -> None:
    paths = [tmp_path / "first.log", tmp_path / "second.log"]
    configure_logging("info", "json", file=paths[0])

    def emit_all(name: str) -> None:
        for n in range(50):
            Events(name).emit(connected(n=n))

    threads = [threading.Thread(target=emit_all, args=(f"node-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    configure_logging("info", "json", file=paths[1])
    for thread in threads:
        thread.join()

    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert {(f"node-{i}", n) for i in range(4) for n in range(50)} == {
        (line["node_id"], line["n"]) for line in lines
    }
    assert len(lines) == 200


def test_global_structlog_configuration_is_neither_changed_nor_used() -> None:
    before = structlog.get_config()
    line = emitted(connected(), format="json")

    assert not structlog.is_configured()
    assert before == structlog.get_config()
    assert "peer.connected" in line
