"""Three node processes in a line log what they do, and the journey of a write is read from that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from softadastra.cli.main import cli
from softadastra.testing import LocalCluster, wait_until
from softadastra.tracing.journey import Journey, Stage, journey_of
from softadastra.tracing.logs import Logs
from softadastra.tracing.sync_ids import parse_sync_id

from .test_events_catalogue import documented

DEADLINE_SECONDS = 60.0
RETRY_SECONDS = 0.3


def journey(directory: Path, sync_id: str) -> Journey:
    logs = Logs(parse_sync_id(sync_id))
    for path in directory.glob("*.log"):
        logs.read(path.name, path.read_text().splitlines(keepends=True))
    return journey_of(logs)


def eventually(condition: Callable[[], bool], what: str) -> None:
    assert wait_until(condition, DEADLINE_SECONDS), what


def stages(found: Journey) -> list[tuple[str, Stage]]:
    return [(step.node_id, step.stage) for step in found.steps]


def has(directory: Path, sync_id: str, node_id: str, stage: Stage) -> bool:
    return (node_id, stage) in stages(journey(directory, sync_id))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Let three processes replicate, meet in a conflict, and lose an answer; give their logs."""
    directory = tmp_path_factory.mktemp("journeys")
    with LocalCluster(
        3, directory=directory, topology="apart", log_level="debug", retry_interval=RETRY_SECONDS
    ) as cluster:
        a, b, c = cluster.nodes
        loser = a.put("shared", "by a").sync_id
        eventually(lambda: has(directory, loser, "node-a", Stage.ACCEPTED), "a logs no write")
        winner = c.put("shared", "by c").sync_id
        a.connect(b)
        b.connect(c)
        assert cluster.wait_converged(DEADLINE_SECONDS)
        relayed = a.put("relayed", "a secret value").sync_id
        assert cluster.wait_converged(DEADLINE_SECONDS)
        c.pause()
        retried = a.put("retried", "v").sync_id
        eventually(lambda: has(directory, retried, "node-b", Stage.RETRIED), "b does not retry")
        c.resume()
        assert cluster.wait_converged(DEADLINE_SECONDS)
        for sync_id in (relayed, retried):
            eventually(
                lambda sync_id=sync_id: has(directory, sync_id, "node-b", Stage.ACKNOWLEDGED),  # type: ignore[misc]
                "c does not acknowledge",
            )
        names = {"loser": loser, "winner": winner, "relayed": relayed, "retried": retried}
    return directory, names


def test_a_relay_is_seen_from_end_to_end(told: tuple[Path, dict[str, str]]) -> None:
    directory, names = told

    found = journey(directory, names["relayed"])

    assert [node.node_id for node in found.nodes] == ["node-a", "node-b", "node-c"]
    way = [
        ("node-a", Stage.ACCEPTED),
        ("node-a", Stage.SENT),
        ("node-b", Stage.RECEIVED),
        ("node-b", Stage.MERGED),
        ("node-b", Stage.SENT),
        ("node-c", Stage.RECEIVED),
        ("node-c", Stage.MERGED),
        ("node-b", Stage.ACKNOWLEDGED),
    ]
    seen = stages(found)
    assert [step for step in seen if step in way] == way
    assert seen.index(("node-b", Stage.MERGED)) < seen.index(("node-a", Stage.ACKNOWLEDGED))
    assert found.key == "relayed"
    assert found.remarks == ()


def test_what_lost_a_conflict_says_so_where_the_two_met(
    told: tuple[Path, dict[str, str]],
) -> None:
    directory, names = told

    lost = [s for s in journey(directory, names["loser"]).steps if s.stage is Stage.LOST]

    assert lost
    assert {step.others for step in lost} == {(names["winner"],)}


def test_what_had_to_be_sent_again_was_merged_once(told: tuple[Path, dict[str, str]]) -> None:
    directory, names = told

    found = journey(directory, names["retried"])

    retried = [step for step in found.steps if step.stage is Stage.RETRIED]
    assert {(step.node_id, step.peer) for step in retried} == {("node-b", "node-c")}
    assert stages(found).count(("node-c", Stage.MERGED)) == 1


def test_every_event_has_the_fields_that_the_documents_say(
    told: tuple[Path, dict[str, str]],
) -> None:
    directory, _ = told
    events = documented()
    seen = set()
    for path in directory.glob("*.log"):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            name, level = event["event"], event["level"]
            fields = event.keys() - {"event", "level", "node_id", "ts"}

            assert (level, fields) == events[name], name
            seen.add(name)
    assert {"write.accepted", "batch.sent", "batch.merged", "batch.retried", "have.heard"} <= seen


def test_the_tool_shows_it_and_no_value(told: tuple[Path, dict[str, str]]) -> None:
    directory, names = told
    logs = [str(path) for path in sorted(directory.glob("*.log"))]

    shown = CliRunner().invoke(cli, ["trace", names["relayed"], *logs])
    pages = [
        CliRunner().invoke(cli, ["trace", names["relayed"], "--format", form, *logs]).stdout
        for form in ("html", "mermaid")
    ]

    assert shown.exit_code == 0
    assert "│   ├──▶│" in shown.stdout
    assert not any("secret" in text for text in (shown.output, *pages))


KILLED = """
import os, signal, sys
from softadastra import Client, ClientOptions, configure_logging
configure_logging("debug", "json", file="till.log")
client = Client(ClientOptions.persistent("till", "till.wal")).open()
for number in range(100):
    client.put(f"sale/{number}", number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_has_logged_every_durable_write_that_returned(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, timeout=DEADLINE_SECONDS)
    events = [json.loads(line) for line in (tmp_path / "till.log").read_text().splitlines()]

    assert done.returncode == -signal.SIGKILL
    assert [event["sync_id"] for event in events if event["event"] == "write.accepted"] == [
        f"till-{number + 1}" for number in range(100)
    ]
