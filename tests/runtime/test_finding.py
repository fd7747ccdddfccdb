"""What comes of what discovery tells: a candidate, an event, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from softadastra.discovery.changes import Clashed, Found, Gone, TurnedAway
from softadastra.runtime.commit import Committer
from softadastra.runtime.events import Events
from softadastra.runtime.finding import Finding
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from softadastra.sync.members import Member
from softadastra.sync.notices import Notice, Told, each
from softadastra.sync.settings import Now
from softadastra.types import Peer
from tests.engines import OPTIONS

FOUND = Found("b", (("10.0.0.2", 4041), ("fe80::2%3", 4041)))


class Kept(Events):
    """Keeps the events."""

    __slots__ = ("notices",)

    def __init__(self) -> None:
        super().__init__("a")
        self.notices: list[Notice] = []

    def emit(self, *notices: Told) -> None:
        self.notices += each(notices)


@pytest.fixture
def told() -> Kept:
    return Kept()


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def engine() -> Engine:
    return Engine(Replica("a", 1), OPTIONS, nonce=1, jitter=lambda: 0.5)


@pytest.fixture
def finding(engine: Engine, told: Kept, woken: list[bool]) -> Finding:
    committer = Committer(engine, None, flush=False, wall_ms=lambda: 1_000)
    wake: Callable[[], None] = lambda: woken.append(True)  # noqa: E731
    return Finding(committer, told, now=lambda: Now(500, 1_000), wake=wake)


def test_who_is_found_is_a_candidate_and_no_member(finding, engine, told, woken):
    finding.changed(FOUND)

    candidate = engine.dialer.candidates["b"]
    assert candidate.addresses == (Peer("b", "10.0.0.2", 4041), Peer("b", "fe80::2%3", 4041))
    assert engine.dialer.deadline(set()) == 500
    assert len(engine.members) == 0
    assert woken == [True]
    (notice,) = told.notices
    assert notice.event == "peer.found"
    assert notice.fields == {"peer": "b", "addresses": ["10.0.0.2:4041", "fe80::2%3:4041"]}


def test_one_that_announces_itself_again_is_tried_again_and_told_once(finding, engine, told, woken):
    finding.changed(FOUND)
    finding.changed(FOUND)
    finding.changed(Found("b", (("10.0.0.3", 4041),)))

    assert [notice.fields["addresses"] for notice in told.notices] == [
        ["10.0.0.2:4041", "fe80::2%3:4041"],
        ["10.0.0.3:4041"],
    ]
    assert len(woken) == 3


def test_who_is_not_to_be_dialled_is_not_told_of(finding, engine, told):
    engine.dialer.remove("b")
    finding.changed(FOUND)
    finding.changed(Gone("b"))

    assert told.notices == []


def test_who_is_gone_is_no_candidate_and_told_anew_when_he_comes_back(finding, engine, told):
    finding.changed(FOUND)
    finding.changed(Gone("b"))
    assert engine.dialer.candidates == {}
    finding.changed(FOUND)

    events = [notice.event for notice in told.notices]
    assert events == ["peer.found", "announcement.ended", "peer.found"]


def test_what_people_should_know_is_told(finding, told):
    finding.changed(Clashed(("10.0.0.9",)))
    finding.changed(TurnedAway(19_488))
    finding.announced("a._softadastra._tcp.local.", ["10.0.0.1"])
    finding.failed("no such device")

    assert [(notice.event, dict(notice.fields)) for notice in told.notices] == [
        ("discovery.clashed", {"addresses": ("10.0.0.9",)}),
        ("discovery.flooded", {"names": 19_488}),
        (
            "discovery.announced",
            {"name": "a._softadastra._tcp.local.", "addresses": ["10.0.0.1"]},
        ),
        ("discovery.failed", {"error": "no such device"}),
    ]


def test_who_has_greeted_is_met_and_who_was_only_named_is_not(finding, engine):
    engine.members.restore(Member(node_id="b", accepted=True))
    engine.members.restore(Member(node_id="c"))

    assert [finding.is_met(node_id) for node_id in "bcd"] == [True, False, False]
