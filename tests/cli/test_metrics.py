"""`metrics`: what a cron job hands to node_exporter."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from softadastra import Client, ClientOptions

from .tool import Run, Spawn, document


def numbers(text: str) -> dict[str, float]:
    """The numbers of a text that have no label but the node's."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels == {"node_id": "node-1"}
    }


@pytest.fixture
def options(directory: Path) -> ClientOptions:
    return ClientOptions.persistent("node-1", "data/node-1.wal")


def test_a_node_within_an_application_is_asked_at_its_socket(
    run: Run, options: ClientOptions
) -> None:
    with Client(options) as client:
        client["k"] = 1
        shown = run("metrics")

    found = numbers(shown.stdout)
    assert shown.exit_code == 0
    assert (found["softadastra_up"], found["softadastra_ready"]) == (1, 1)
    assert found["softadastra_store_entries"] == 1
    assert found["softadastra_log_sync_seconds_count"] == 1


def test_the_text_is_ended_once_and_nothing_else_is_printed(
    run: Run, options: ClientOptions
) -> None:
    with Client(options):
        shown = run("metrics")

    assert shown.stdout.startswith("# HELP softadastra_up ")
    assert shown.stdout.endswith("\n")
    assert not shown.stdout.endswith("\n\n")
    assert shown.stderr == ""


def test_a_node_that_does_not_run_is_told_so_and_its_log_is_not_opened(
    run: Run, options: ClientOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("store", "put", "k", "v")
    monkeypatch.setattr("softadastra.lifecycle.Lifecycle.open", None)
    shown = run("metrics")

    assert shown.exit_code == 0
    assert numbers(shown.stdout) == {"softadastra_up": 0, "softadastra_ready": 0}


def test_a_node_that_was_never_started_does_not_run(run: Run, directory: Path) -> None:
    shown = run("metrics")

    assert numbers(shown.stdout)["softadastra_up"] == 0
    assert list(directory.iterdir()) == []


def test_a_node_that_answers_no_commands_is_not_said_to_be_down(
    run: Run, options: ClientOptions
) -> None:
    options.enable_control = False
    with Client(options):
        shown = run("metrics")

    assert (shown.exit_code, shown.stdout) == (5, "")
    assert "which answers no commands" in shown.stderr


def test_a_node_in_memory_cannot_be_asked(run: Run, directory: Path) -> None:
    (directory / "softadastra.toml").write_text("enable_wal = false\n")
    shown = run("metrics")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "exposition(client.vitals())" in shown.stderr


def test_a_node_that_hangs_has_no_metrics(
    run: Run, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softadastra.control.remote.SILENCE_SECONDS", 0.3)
    process = spawn("node", "run")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    try:
        shown = run("metrics")
    finally:
        process.send_signal(signal.SIGCONT)

    assert (shown.exit_code, shown.stdout) == (4, "")


def test_a_document_says_what_is_wrong_in_words(run: Run, options: ClientOptions) -> None:
    with Client(options):
        running = document(run("metrics", "--json"))
    stopped = document(run("metrics", "--json"))

    assert (running["running"], running["readiness"]["ok"]) == (True, True)
    assert numbers(running["text"])["softadastra_up"] == 1
    assert (stopped["running"], stopped["readiness"]["ok"]) == (False, False)
    (finding,) = stopped["readiness"]["findings"]
    assert (finding["cause"], finding["sentence"]) == ("stopped", "This node does not run.")
    assert stopped["readiness"]["advice"][0].startswith("Start it")
