"""Each setting is shown with where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from .tool import Run, document


def test_every_source_is_named(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "softadastra.toml").write_text(
        'cluster = "shop"\nsync_window = 4\npeers = ["office@10.0.0.1:4041"]\n'
    )
    monkeypatch.setenv("SOFTADASTRA_SYNC_WINDOW", "6")
    found = document(run("config", "show", "--wal", "data/a.wal", "--json"))
    settings = found["settings"]

    assert settings["cluster"] == {"value": "shop", "source": "file"}
    assert settings["sync_window"] == {"value": 6, "source": "variable"}
    assert settings["wal_path"] == {"value": "data/a.wal", "source": "command line"}
    assert settings["auto_flush"] == {"value": True, "source": "default"}
    assert settings["peers"] == {"value": ["office@10.0.0.1:4041"], "source": "file"}
    assert (found["file"], found["problems"]) == ("softadastra.toml", [])


def test_the_node_id_is_that_of_the_log_when_nothing_names_it(run: Run) -> None:
    run("store", "put", "k", "v", "--wal", "data/a.wal", "--node-id", "till")
    by_log = document(run("config", "--wal", "data/a.wal", "--json"))["settings"]["node_id"]
    by_line = document(run("config", "--node-id", "x", "--json"))["settings"]["node_id"]

    assert by_log == {"value": "till", "source": "log"}
    assert by_line == {"value": "x", "source": "command line"}


def test_only_what_was_changed_is_shown_on_request(run: Run, directory: Path) -> None:
    (directory / "own.toml").write_text("auto_flush = false\n")
    shown = run("config", "show", "--changed", "--config", "own.toml")

    assert shown.stdout.splitlines()[0] == "Settings, with own.toml"
    assert [line.split() for line in shown.stdout.splitlines()[3:]] == [
        ["auto_flush", "false", "file"]
    ]


def test_settings_that_cannot_be_used_are_shown_with_what_is_wrong(
    run: Run, directory: Path
) -> None:
    (directory / "softadastra.toml").write_text(
        'transport_host = "0.0.0.0"\nenable_transport = true\n'
    )
    shown, as_json = run("config"), run("config", "--json")

    assert (shown.exit_code, as_json.exit_code) == (2, 2)
    assert "insecure=True" in shown.stderr
    assert "transport_host" in shown.stdout
    (problem,) = document(as_json)["problems"]
    assert "insecure=True" in problem


def test_a_file_that_cannot_be_read_is_named(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text("clustre = 1\n")
    refused = run("config")

    assert refused.exit_code == 2
    assert "did you mean 'cluster'?" in refused.stderr


def test_forty_columns_are_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    assert max(map(len, run("config").stdout.splitlines())) <= 40
