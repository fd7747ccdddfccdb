"""Prometheus reads the node's metrics, and whoever watches over nodes whether it is in order."""

from __future__ import annotations

import pytest

from softadastra import Client
from softadastra.dashboard import Dashboard, monitoring
from softadastra.health.exposition import CONTENT_TYPE
from softadastra.vitals import Vitals

from .browsing import Asker

NOBODY = {"Authorization": None}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "FRESH_SECONDS", 0)


def value_of(text: str, metric: str) -> list[str]:
    return [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(metric + "{")]


def test_metrics_are_in_the_text_format_of_prometheus(asker: Asker, node: Client) -> None:
    node.put("k", 1)

    answer = asker.get("/metrics", NOBODY)

    assert (answer.status, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    text = answer.body.decode()
    assert value_of(text, "softadastra_up") == ["1"]
    assert all('node_id="node-a"' in line for line in text.splitlines() if line[0] != "#")


def test_health_says_that_all_is_well(asker: Asker) -> None:
    answer = asker.get("/healthz", NOBODY)

    assert (answer.status, answer.document) == (200, {"ok": True})
    assert asker.get("/healthz").document["findings"] == []


def test_health_says_that_the_node_is_closed_and_why_to_who_has_the_token(
    asker: Asker, node: Client
) -> None:
    node.close()
    assert value_of(asker.get("/metrics").body.decode(), "softadastra_up") == ["0"]

    told = asker.get("/healthz")

    assert (asker.get("/healthz", NOBODY).status, told.status) == (503, 503)
    assert asker.get("/healthz", NOBODY).document == {"ok": False}
    assert len(told.document["findings"]) == 1


def test_beyond_this_machine_metrics_need_the_token_and_health_does_not(node: Client) -> None:
    with Dashboard(node, "0.0.0.0", 0, token="correct-horse-battery") as dashboard:
        asker = Asker(dashboard)

        assert asker.get("/metrics", NOBODY).reason == "unauthorized"
        assert asker.get("/metrics").status == 200
        assert asker.get("/healthz", NOBODY).status == 200


def test_neither_is_given_under_a_foreign_name(asker: Asker) -> None:
    foreign = {"Host": "rebound.example.org"}

    assert asker.get("/metrics", foreign).reason == "foreign_host"
    assert asker.get("/healthz", foreign).reason == "foreign_host"


def test_who_asks_often_costs_the_node_one_look_a_second(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "FRESH_SECONDS", 3_600)
    looks = []
    original = Client.vitals

    def look(client: Client) -> Vitals:
        looks.append(client)
        return original(client)

    monkeypatch.setattr(Client, "vitals", look)
    for _ in range(5):
        assert asker.get("/metrics").status == asker.get("/healthz").status == 200

    assert len(looks) == 1
