"""Keys that nodes wrote without knowing of each other are listed, shown and settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, Conflict, Peer

from .tool import Run, document

POLICIES: dict[str, str] = {"cart/": "manual"}


def options_of(name: str, *, auto_tick: bool = True) -> ClientOptions:
    path = f"data/{name}.wal"
    options = ClientOptions.persistent(name, path, auto_tick=auto_tick).with_local_transport()
    options.conflict_policies = POLICIES  # type: ignore[assignment]
    return options


@pytest.fixture
def conflicting(directory: Path) -> None:
    """Have node-1 and till write cart/1, cart/2 and price apart, and meet."""
    (directory / "softadastra.toml").write_text('[conflict_policies]\n"cart/" = "manual"\n')
    with Client(options_of("node-1")) as one, Client(options_of("till")) as till:
        one.put("cart/2", "old")
        one.start_transport()
        till.start_transport()
        assert one.transport_port is not None
        till.connect(Peer.local("node-1", one.transport_port))
        assert one.wait_synced(20)
    # A node that sends nothing meets the other's writes first, and notes who has lost.
    with Client(options_of("node-1", auto_tick=False)) as one, Client(options_of("till")) as till:
        one.put("cart/1", "here")
        till.put("cart/1", {"n": 1})
        one.remove("cart/2")
        till.put("cart/2", "kept")
        one.put("price", 1)
        till.put("price", 2)
        one.start_transport()
        till.start_transport()
        assert one.transport_port is not None
        till.connect(Peer.local("node-1", one.transport_port))
        assert till.wait_synced(20)


@pytest.fixture(params=["running", "not running"])
def node(conflicting: None, request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "running":
        with Client(options_of("node-1")):
            yield
    else:
        yield


def test_they_are_listed_open_ones_first(run: Run, node: None) -> None:
    shown = run("conflicts")
    listed = document(run("conflicts", "list", "--json"))["conflicts"]
    only_open = document(run("conflicts", "list", "--open", "--json"))["conflicts"]

    assert shown.stdout.splitlines()[0] == "Conflicts"
    assert [(each["key"], each["is_open"], each["policy"]) for each in listed] == [
        ("cart/1", True, "manual"),
        ("cart/2", True, "manual"),
        ("price", False, "last_write_wins"),
    ]
    assert [each["key"] for each in only_open] == ["cart/1", "cart/2"]
    assert {value["origin"] for value in listed[0]["values"]} == {"node-1", "till"}


def test_one_is_shown_with_all_its_values(run: Run, node: None) -> None:
    shown = run("conflicts", "show", "cart/1")
    found = document(run("conflicts", "show", "cart/1", "--json"))["conflict"]
    removed = run("conflicts", "show", "cart/2")

    assert shown.stdout.splitlines()[0] == "Conflict of cart/1: open, by manual"
    assert "here" in shown.stdout
    assert '{"n": 1}' in shown.stdout
    assert sorted(str(value["value"]) for value in found["values"]) == ["here", "{'n': 1}"]
    assert "(removed)" in removed.stdout


def test_one_is_settled_with_a_value(run: Run, node: None) -> None:
    settled = document(run("conflicts", "resolve", "cart/1", "[3]", "--json-value", "--json"))

    assert settled["key"] == "cart/1"
    assert settled["origin"] == "node-1"
    assert document(run("store", "get", "cart/1", "--json"))["value"] == [3]
    assert run("conflicts", "show", "cart/1").exit_code == 3


def test_one_is_settled_with_one_of_its_values(run: Run, node: None) -> None:
    values = document(run("conflicts", "show", "cart/1", "--json"))["conflict"]["values"]
    number = [value["origin"] for value in values].index("till") + 1
    settled = run("conflicts", "resolve", "cart/1", "--take", str(number))

    assert settled.exit_code == 0
    assert settled.stdout.splitlines()[0] == "Resolved conflict."
    assert document(run("store", "get", "cart/1", "--json"))["value"] == {"n": 1}


def test_a_loser_may_be_made_the_winner(run: Run, node: None) -> None:
    before = document(run("store", "get", "price", "--json"))["value"]
    run("conflicts", "resolve", "price", "--take", "2")

    assert document(run("store", "get", "price", "--json"))["value"] == {1: 2, 2: 1}[before]
    assert document(run("conflicts", "--json"))["conflicts"][-1]["key"] == "cart/2"


def test_a_value_is_not_taken_when_another_one_came_meanwhile(
    run: Run, node: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def earlier(found: Iterable[Conflict], key: str) -> Conflict:
        (conflict,) = [each for each in found if each.key == key]
        return replace(conflict, values=conflict.values[:1])

    monkeypatch.setattr("softadastra.cli.conflicts._find", earlier)
    refused = run("conflicts", "resolve", "cart/1", "--take", "1")

    assert refused.exit_code == 1
    assert "written meanwhile" in refused.stderr
    assert run("conflicts", "--json").stdout.count('"cart/1"') == 1


def test_what_cannot_be_taken_is_explained(run: Run, node: None) -> None:
    values = document(run("conflicts", "show", "cart/2", "--json"))["conflict"]["values"]
    number = [value["is_removed"] for value in values].index(True) + 1
    removed = run("conflicts", "resolve", "cart/2", "--take", str(number))
    beyond = run("conflicts", "resolve", "cart/2", "--take", "3")

    assert (removed.exit_code, beyond.exit_code) == (2, 2)
    assert "store remove settles it so" in removed.stderr
    assert "has 2 values" in beyond.stderr
    assert run("store", "remove", "cart/2").exit_code == 0
    assert run("conflicts", "show", "cart/2").exit_code == 3


@pytest.mark.parametrize(
    "command", [("show", "k"), ("resolve", "k", "v"), ("resolve", "k", "--take=1")]
)
def test_a_key_without_a_conflict_exits_with_3(run: Run, command: tuple[str, ...]) -> None:
    run("store", "put", "k", "v")
    found = run("conflicts", *command)

    assert found.exit_code == 3
    assert "conflict" in found.stderr


@pytest.mark.parametrize("arguments", [(), ("v", "--take", "1")])
def test_a_value_or_a_number_is_needed_and_not_both(run: Run, arguments: tuple[str, ...]) -> None:
    refused = run("conflicts", "resolve", "k", *arguments)

    assert refused.exit_code == 2
    assert "Give a value, or the number of one with --take." in refused.stderr


def test_none_is_said_in_words(run: Run) -> None:
    run("store", "put", "k", "v")

    assert run("conflicts").stdout == "No conflicts.\n"
    assert document(run("conflicts", "--json")) == {"conflicts": []}


def test_a_narrow_terminal_shows_all_of_it(
    run: Run, conflicting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for command in (("conflicts",), ("conflicts", "show", "cart/1")):
        shown = run(*command).stdout

        assert max(map(len, shown.splitlines())) <= 40
