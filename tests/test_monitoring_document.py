"""docs/monitoring.md names every metric, fault and alert, and no others.

Its commands are typed by tests/test_documents.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from click.testing import CliRunner

from softadastra import Client, ClientOptions
from softadastra.cli.main import cli
from softadastra.health.exposition import CONTENT_TYPE
from softadastra.health.metrics import METRICS, Kind
from softadastra.health.readiness import FAULTS
from softadastra.runtime.sync_times import BOUNDS_MS
from softadastra.types import PeerState
from tests.requirements import TOOLS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "monitoring.md").read_text()
RULES = ROOT / "examples" / "alerts.yml"


def rows(begin: str) -> list[list[str]]:
    """The cells of the table that begins so."""
    table = TEXT[TEXT.index(begin) :].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_every_metric_stands_in_the_table_once_with_its_kind_in_the_order_of_the_text():
    listed = [(name.strip("`"), kind) for name, kind, _ in rows("| metric |")]

    assert listed == [(metric.name, metric.kind.value) for metric in METRICS]


def test_every_fault_stands_in_the_table_once():
    assert [name.strip("`") for name, _ in rows("| `cause` |")] == [*FAULTS]


def test_no_metric_is_named_that_does_not_exist():
    suffixes = re.compile("_(bucket|sum|count)$")
    named = {suffixes.sub("", name) for name in re.findall(r"\bsoftadastra_\w+", TEXT)}

    assert named <= {metric.name for metric in METRICS}


def test_what_is_said_of_the_text_and_its_buckets_is_so():
    assert f'CONTENT_TYPE = "{CONTENT_TYPE}"' in TEXT
    assert f"from {BOUNDS_MS[0] / 1000:g} to {BOUNDS_MS[-1] / 1000:g}" in TEXT


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
NOT_OURS = {"up": "Prometheus's own", "node_textfile_mtime_seconds": "node_exporter's"}
LABELS = {"state": {"held", "queued", "in_flight", "failed", *PeerState}, "cause": {*FAULTS}}


def selected(expression: str) -> dict[str, dict[str, str]]:
    """Parse an expression as Prometheus does; give the labels that it asks for, by metric."""
    found: dict[str, dict[str, str]] = {}

    def note(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {each.name: each.value for each in node.matchers.matchers}
            found.setdefault(str(node.name), {}).update(matchers)

    promql_parser.walk(promql_parser.parse(expression), note)
    assert found, expression
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert", rule.get("record")))
def test_every_rule_selects_metrics_and_labels_that_there_are(rule):
    kinds = {metric.name: metric.kind for metric in METRICS}
    for series, labels in selected(rule["expr"]).items():
        if series in NOT_OURS | dict.fromkeys(RECORDED):
            continue
        name = series.removesuffix("_bucket")
        assert (name != series) == (kinds[name] is Kind.HISTOGRAM)
        for label, values in labels.items():
            assert set(values.split("|")) <= LABELS[label]


def test_an_expression_that_is_none_or_selects_nothing_is_found():
    with pytest.raises(ValueError, match="invalid promql query"):
        selected("softadastra_up ==")
    with pytest.raises(AssertionError):
        selected("1 + 1")


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_every_alert_says_how_grave_it_is_and_what_to_do(rule):
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "action"}
    for command in re.findall(r"softadastra ([a-z]+(?: [a-z]+)?)", rule["annotations"]["action"]):
        assert any(
            CliRunner().invoke(cli, [*command.split()[:count], "--help"]).exit_code == 0
            for count in (1, 2)
        ), command


def test_every_alert_stands_in_the_table_with_its_reason_once():
    assert [name.strip("`") for name, *_ in rows("| alert |")] == list(ALERTS)


@pytest.mark.parametrize(
    "command", ["check rules examples/alerts.yml", "test rules tests/alerts.yml"]
)
def test_promtool_accepts_the_rules_and_they_fire_when_they_should(command):
    TOOLS.need_tool("promtool", "prometheus")
    done = subprocess.run(
        ["promtool", *command.split()], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_scrape_configuration_names_the_job_that_the_alerts_look_for():
    (scrape,) = yaml.safe_load(block("yaml"))["scrape_configs"]

    assert selected(ALERTS["SoftadastraNodeDown"]["expr"])["up"] == {"job": scrape["job_name"]}


def test_the_cron_job_writes_the_file_that_the_collector_reads(tmp_path, monkeypatch):
    """A line of /etc/cron.d: five fields of time, whose job it is, and a command for the shell."""
    fields = block("crontab").strip().split(maxsplit=6)
    assert fields[:6] == ["*"] * 5 + ["softadastra"]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = fields[6].replace("/var/lib/softadastra", str(tmp_path))
    command = command.replace("/var/lib/node_exporter", str(tmp_path))
    with Client(ClientOptions.persistent("till", tmp_path / "till.wal")):
        subprocess.run(["sh", "-c", command], check=True, timeout=60)
    (written,) = tmp_path.glob("*.prom")
    stale = selected(ALERTS["SoftadastraMetricsStale"]["expr"])["node_textfile_mtime_seconds"]

    assert 'softadastra_up{node_id="till"} 1\n' in written.read_text()
    assert re.fullmatch(stale["file"], str(written))
