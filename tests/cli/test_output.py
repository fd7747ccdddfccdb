"""What is shown fits the terminal, obeys NO_COLOR, and cannot be abused by what is stored."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator

import pytest

from softadastra.cli.output import Output, as_time, encode, printable, tell

pytestmark = pytest.mark.usefixtures("plain_environment")

PEER_COLUMNS = ("Node", "Host", "Port", "State", "Connected", "Last seen", "Errors")
PEER_ROW = ("node-b", "127.0.0.1", 4042, "available", "no", "-", "connection refused")


class Terminal(io.StringIO):
    """Standard output as a colour terminal, 40 columns wide."""

    def isatty(self) -> bool:
        return True

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> Terminal:
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.delenv("COLORTERM", raising=False)
        terminal = cls()
        monkeypatch.setattr(sys, "stdout", terminal)
        return terminal


def output(*, no_color: bool = False) -> Output:
    return Output(as_json=False, no_color=no_color, is_quiet=False)


def test_sentences_are_broken_between_words_on_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "the log holds a record that this version does not know: open it with " + "x" * 50
    output().sentence(sentence)
    piped = capsys.readouterr().out
    terminal = Terminal.install(monkeypatch)
    output().sentence(sentence)
    lines = terminal.getvalue().splitlines()

    assert piped == f"{sentence}\n"
    assert " ".join(lines) == sentence
    assert lines[-1] == "x" * 50
    assert all(len(line) <= 40 for line in lines[:-1])


def test_errors_are_broken_like_sentences_but_not_what_is_to_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Terminal.install(monkeypatch)
    errors = Terminal()
    monkeypatch.setattr(sys, "stderr", errors)
    command = "softadastra keys trust node-1 " + "k" * 56
    tell("error: " + "word " * 20)
    tell(command, is_folded=False)

    assert max(map(len, errors.getvalue().splitlines()[:-1])) <= 40
    assert errors.getvalue().splitlines()[-1] == command


@pytest.mark.parametrize("columns", ["0", "nonsense", ""])
def test_a_terminal_without_a_known_width_gets_lines_as_they_are(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    terminal = Terminal.install(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(Terminal, "fileno", lambda _: 99, raising=False)
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    output().sentence("word " * 50)

    assert len(terminal.getvalue().splitlines()) == 1


def test_no_line_is_wider_than_a_terminal_of_40_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal.install(monkeypatch)
    output(no_color=True).table("Transport peers", PEER_COLUMNS, [PEER_ROW])
    output(no_color=True).table("Status", ("Component", "Metric", "Value"), [("a", "b", "c" * 90)])
    output(no_color=True).listing(("Key", "Value"), [("k" * 90, "v" * 90), ("a", "日本" * 40)])

    assert max(map(len, terminal.getvalue().splitlines())) <= 40


def test_a_table_that_does_not_fit_is_shown_as_a_block_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal.install(monkeypatch)
    output(no_color=True).table("Transport peers", PEER_COLUMNS, [PEER_ROW, PEER_ROW])

    lines = [line.rstrip() for line in terminal.getvalue().splitlines()]
    assert lines.count("Errors      connection refused") == 2


def test_a_folded_value_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal.install(monkeypatch)
    path = "/var/lib/softadastra/" + "directory/" * 8
    output(no_color=True).table("Status", ("Component", "Metric", "Value"), [("node", "wal", path)])

    folded = "".join(line[18:].strip() for line in terminal.getvalue().splitlines()[3:])
    assert folded == path


def test_a_pipe_gets_lines_of_any_width_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    output().table("Store entry", ("Field", "Value"), [("value", "v" * 5_000)])
    output().listing(("Key", "Value"), [("k", "v" * 5_000)])

    shown = capsys.readouterr().out
    assert shown.count("v" * 5_000) == 2
    assert "\x1b" not in shown


def test_a_terminal_gets_styles_unless_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal.install(monkeypatch)
    output().table("Title", ("A", "B"), [("1", "2")])
    assert "\x1b[1m" in terminal.getvalue()

    terminal.seek(0)
    terminal.truncate()
    output(no_color=True).table("Title", ("A", "B"), [("1", "2")])
    monkeypatch.setenv("NO_COLOR", "1")
    output().table("Title", ("A", "B"), [("1", "2")])
    assert "\x1b" not in terminal.getvalue()


def test_stored_text_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J[red]\r\n\u202e:smile:"
    output().table("Store entry", ("Field", "Value"), [("value", hostile)])
    output().listing(("Key", "Value"), [(hostile, hostile)])

    assert printable(hostile) == r"\x1b[2J[red]\r\n\u202e:smile:"
    shown = capsys.readouterr().out
    assert shown.count(printable(hostile)) == 3
    assert not set(shown) & set("\x1b\r\u202e")


def test_a_listing_shows_its_first_lines_before_it_has_all_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def rows() -> Iterator[tuple[str, str]]:
        for number in range(1_000):
            yield f"key/{number}", "value"
        yield "one more", "value"
        shown.append(capsys.readouterr().out)

    shown: list[str] = []
    output().listing(("Key", "Value"), rows())

    assert "key/999" in shown[0]
    assert shown[0].endswith("one more  value\n")


def test_documents_name_their_schema_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output().document({"key": "é\n"})

    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert json.loads(shown) == {"schema": 1, "key": "é\n"}


def test_json_is_ascii_where_the_encoding_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert encode("é") == '"\\u00e9"'

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert encode("é") == '"é"'


def test_notes_go_to_standard_error_and_not_at_all_when_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output(as_json=False, no_color=False, is_quiet=True).note("unseen")
    Output(as_json=False, no_color=False, is_quiet=False).note("seen")

    assert capsys.readouterr() == ("", "seen\n")


def test_times_are_utc_with_milliseconds_and_absence_is_a_dash() -> None:
    assert as_time(1_795_419_600_123) == "2026-11-23 07:40:00.123Z"
    assert as_time(None) == "-"
