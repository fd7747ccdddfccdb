"""docs/api.md says what the code says, of every public name and of no other."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from softadastra import Client, ClientOptions, StorageError, errors, testing
from softadastra.types import Peer, PeerState

from .described import GIVEN, members_of
from .docstrings import read
from .document import BLOCK, DOCUMENT, completed, names_in, rewritten
from .names import public_names
from .source import attributes_of, fields_of

TEXT = DOCUMENT.read_text()


def test_the_reference_says_what_the_code_says() -> None:
    assert rewritten(TEXT) == TEXT, "write it anew: python -m tests.reference"


def test_every_public_name_is_in_the_reference_once_and_no_other() -> None:
    assert sorted(names_in(TEXT)) == sorted(public_names()), "run python -m tests.reference"


def test_what_calls_give_is_public_too() -> None:
    assert {"Batch", "PrefixItems", "PeerStatus"} <= public_names().keys()
    assert public_names().keys() >= GIVEN


def test_a_name_without_a_block_gets_one_at_the_end() -> None:
    without = BLOCK.sub(lambda match: "" if match[2] == "Peer" else match[0], TEXT)
    again = rewritten(completed(without))

    assert "Peer" not in names_in(without)
    assert names_in(again)[-1] == "Peer"
    assert "**`Peer.parse(text: str) -> Peer`**" in again.partition("### Verdict")[2]


def put(self: Client, key: str, value: object, *, quickly: bool = False) -> None:
    """Store a value."""


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(Client, "put", put),
        lambda patch: patch.setattr(Client, "forget_everything", put, raising=False),
        lambda patch: patch.delattr(Client, "digest"),
        lambda patch: patch.setattr(Client.remove, "__doc__", "Remove a key."),
        lambda patch: patch.setattr(fields_in(ClientOptions)["tick_interval"], "default", 0.1),
        lambda patch: patch.delitem(fields_in(ClientOptions), "insecure"),
        lambda patch: patch.setattr(StorageError, "code", errors.ErrorCode.SYNC_ERROR),
        lambda patch: patch.setattr(testing.check_merge, "__kwdefaults__", {"key": "k"}),
    ],
)
def test_a_change_of_the_code_is_seen(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)

    assert rewritten(TEXT) != TEXT


def fields_in(kind: type) -> dict[str, object]:
    found: dict[str, object] = vars(kind)["__dataclass_fields__"]
    return found


def test_a_name_that_is_new_or_gone_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "__all__", [*testing.__all__[1:], "LocalCluster2"])
    monkeypatch.setattr(testing, "LocalCluster2", testing.LocalCluster, raising=False)

    public, documented = set(public_names()), set(names_in(TEXT))
    assert public - documented == {"LocalCluster2"}
    assert documented - public == {"BrokenPromiseError"}


def test_what_the_prose_names_exists() -> None:
    prose = BLOCK.sub("", TEXT)
    names = public_names()
    members = {
        member
        for value in names.values()
        if isinstance(value, type)
        for member in (*members_of(value), *fields_of(value), *attributes_of(value))
    }
    found = re.findall(r"`(?:(\w+)\.)?(\w+)\(\)`", prose)

    assert found
    for owner, name in found:
        assert name in members or name in names, name
        if owner:
            assert hasattr(names[owner], name), f"{owner}.{name}"


def test_a_docstring_is_taken_apart() -> None:
    said = read(
        """Do it, in <time>.

        At once.

            code = left(out)

        Args:
            name: of it,
                whatever it is.

        Returns:
            Whether it was done.

        Raises:
            KeyError, ValueError: as ever.

        Example:
            >>> do("it")
        """
    )

    assert said.words == "Do it, in \\<time>. At once."
    assert said.arguments == {"name": "of it, whatever it is."}
    assert said.returns == "Whether it was done."
    assert said.raises == {"KeyError, ValueError": "as ever."}


def test_the_docstrings_of_fields_are_found() -> None:
    assert fields_of(PeerState)["CONNECTED"].words == "Greeted, and answering."
    assert fields_of(Peer)["port"].annotation == "int"
    assert fields_of(ClientOptions)["node_id"].annotation == "str"
