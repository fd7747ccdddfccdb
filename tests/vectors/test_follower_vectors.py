"""The vectors check a client: the one that was written from the document agrees with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vectors.files import FOLDER
from tests.vectors.follower import Follower
from tests.vectors.follower_rules import (
    Content,
    Lives,
    Ranges,
    Sibling,
    State,
    add,
    begun,
    has_parted,
    includes,
    rank,
    shown,
    within,
)


def cases(name: str, section: str) -> list[Any]:
    content = json.loads((FOLDER / f"{name}.json").read_text())
    origins = [(item["node_id"], item["incarnation"]) for item in content.get("origins", [])]
    return [pytest.param(origins, case, id=case["name"]) for case in content[section]]


def siblings_of(plain: list[Any], origins: list[Any]) -> list[Sibling]:
    return [
        (
            origins[s["origin"]],
            s["n"],
            s["stamp"],
            s["version"],
            bytes.fromhex(s["value"]),
            s["flags"],
        )
        for s in plain
    ]


def state_of(plain: Any, origins: list[Any]) -> State:
    if plain is None:
        return [], {}
    context = {origins[item["origin"]]: item["n"] for item in plain["context"]}
    return siblings_of(plain["siblings"], origins), context


def ranges_of(plain: Any) -> Ranges:
    above = [(first, last) for first, last in plain["above"]]
    return [(1, plain["base"]), *above] if plain["base"] else above


def told_of(plain: list[Any], origins: list[Any]) -> dict[Any, Ranges]:
    return {origins[item["origin"]]: ranges_of(item) for item in plain}


def lives_of(plain: list[Any]) -> Lives:
    return [(life["first"], life["id"]) for life in plain]


@pytest.mark.parametrize(("origins", "case"), cases("digest", "digest"))
def test_digest(origins, case):
    client = Follower("till")
    client.entries = {entry["key"]: state_of(entry, origins) for entry in case["entries"]}

    assert client.digest().hex() == case["digest"]


@pytest.mark.parametrize(("origins", "case"), cases("digest", "fingerprint"))
def test_fingerprint(origins, case):
    client = Follower("till")
    sibling = (origins[0], 1, 0, case["version"], bytes.fromhex(case["value"]), 0)
    client.entries = {case["key"]: ([sibling], {})}

    assert client.digest().hex() == case["fingerprint"]


@pytest.mark.parametrize(("origins", "case"), cases("merge", "order"))
def test_order(origins, case):
    ordered = sorted(siblings_of(case["siblings"], origins), key=rank)

    assert ordered == siblings_of(case["sorted"], origins)


@pytest.mark.parametrize(("origins", "case"), cases("merge", "shown"))
def test_shown(origins, case):
    assert shown(siblings_of(case["siblings"], origins)) == siblings_of(case["shown"], origins)


@pytest.mark.parametrize(("origins", "case"), cases("merge", "merge"))
def test_merge(origins, case):
    client = Follower("till")
    client.keeps_siblings = lambda _key: case["keeps_siblings"]
    client.have = told_of(case["had"], origins)
    if case["ours"]:
        client.entries["k"] = state_of(case["ours"], origins)

    merged = client.merged("k", state_of(case["theirs"], origins), is_late=False)

    assert merged == state_of(case["merged"], origins)


@pytest.mark.parametrize(("origins", "case"), cases("merge", "outlived"))
def test_outlived(origins, case):
    client = Follower("till")
    client.keeps_siblings = lambda _key: True
    client.told_have = told_of(case["told"], origins)
    client.entries["k"] = state_of(case["ours"], origins)
    theirs = state_of(case["theirs"], origins)

    kept, context = client.merged("k", theirs, is_late=False)

    outlived = {(origins[item["origin"]], item["n"]) for item in case["outlived"]}
    assert outlived <= context.items()
    assert not outlived & {sibling[:2] for sibling in kept}
    assert outlived or context == theirs[1]


@pytest.mark.parametrize(("origins", "case"), cases("writes", "write"))
def test_write(origins, case):
    client = Follower("till")
    client.origin, client.clock = origins[0], case["clock"]
    client.own = ["k"] * case["top"]
    if case["state"]:
        client.entries["k"] = state_of(case["state"], origins)

    client.write("k", bytes.fromhex(case["value"]), case["wall_ms"])

    assert client.clock == case["clock_after"]
    assert (len(client.own) > case["top"]) == (case["written"] is not None)
    if case["written"]:
        assert client.entries["k"] == state_of(case["written"], origins)


@pytest.mark.parametrize(("_origins", "case"), cases("lives", "parting"))
def test_parting(_origins, case):  # a column of the cases, no fixture
    origin = ("till", case["incarnation"])
    client = Follower("office")
    client.lives = {origin: lives_of(case["ours"])}
    theirs = lives_of(case["theirs"]) or begun(origin)

    parted = has_parted(client.history(origin), case["top"], theirs, case["their_top"])

    assert parted == (case["parting"] is not None)


@pytest.mark.parametrize(("_origins", "case"), cases("have_arithmetic", "union"))
def test_sets_of_numbers(_origins, case):  # a column of the cases, no fixture
    a, b = ranges_of(case["a"]), ranges_of(case["b"])
    both = a
    for first, last in b:
        both = add(both, first, last)

    assert both == ranges_of(case["result"])
    assert includes(both, a)
    assert includes(both, b)
    assert all(within(first, both) for first, _ in a + b)


@pytest.mark.parametrize(
    ("_origins", "case"), [*cases("batch", "messages"), *cases("batch", "also_accepted")]
)
def test_content_of_a_batch(_origins, case):  # a column of the cases, no fixture
    import msgpack

    content = Content(msgpack.unpackb(bytes.fromhex(case["bytes"]))[2:])
    fields = case["fields"]
    origins = [(item["node_id"], item["incarnation"]) for item in fields["origins"]]

    assert (content.id, content.told, content.origins) == (fields["id"], fields["told"], origins)
    assert content.entries == {e["key"]: state_of(e, origins) for e in fields["entries"]}
    for claim in fields["claims"]:
        count = sum(run["count"] for run in claim["runs"])
        claimed = [(claim["first"], claim["first"] + count - 1)]
        assert includes(content.dots[origins[claim["origin"]]], claimed)
