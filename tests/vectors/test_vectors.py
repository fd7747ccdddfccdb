"""The vectors are what the code does, both ways, and what the document shows is made from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from softadastra.errors import ProtocolError
from softadastra.packing import pack_value
from softadastra.store.policies import Policy
from softadastra.store.siblings import merge
from softadastra.store.values import check_packed_value, unpack_value
from softadastra.sync.wire import READERS, MessageType, decode, encode
from tests.vectors.elements import ELEMENTS, Element, Said
from tests.vectors.files import BLOCK, DOCUMENT, FOLDER, rewritten, said_of
from tests.vectors.limits import LIMITS, Limit
from tests.vectors.plain import Plain, message_from, plain_message
from tests.vectors.rules import RANK, RULES, plain_state, state_from
from tests.vectors.samples import MESSAGES, edited
from tests.vectors.values import value_from


def read(name: str) -> Plain:
    content: Plain = json.loads((FOLDER / f"{name}.json").read_text())
    return content


def vectors(section: str) -> list[Any]:
    """The vectors of a section of all message files, with their type."""
    return [
        pytest.param(kind, vector, id=f"{kind.name.lower()}: {vector['name']}")
        for kind in MessageType
        for vector in read(kind.name.lower())[section]
    ]


@pytest.mark.parametrize(("kind", "vector"), vectors("messages"))
def test_fields_become_the_bytes_and_bytes_the_fields(kind: MessageType, vector: Plain) -> None:
    payload = bytes.fromhex(vector["bytes"])

    assert encode(message_from(kind, vector["fields"])).hex() == vector["bytes"]
    assert decode(payload) == message_from(kind, vector["fields"])
    assert plain_message(decode(payload)) == vector["fields"]
    assert msgpack.unpackb(payload)[:2] == [1, kind.value]


@pytest.mark.parametrize(("kind", "vector"), vectors("also_accepted"))
def test_other_bytes_of_the_same_meaning_are_accepted(kind: MessageType, vector: Plain) -> None:
    message = message_from(kind, vector["fields"])

    assert decode(bytes.fromhex(vector["bytes"])) == message
    assert encode(message).hex() != vector["bytes"]


@pytest.mark.parametrize(("kind", "vector"), vectors("refused"))
def test_what_is_no_message_is_refused_with_the_words_of_the_vector(
    kind: MessageType, vector: Plain
) -> None:
    with pytest.raises(ProtocolError) as refusal:
        decode(bytes.fromhex(vector["bytes"]))

    assert said_of(refusal.value) == vector["refusal"]


@pytest.mark.parametrize(
    ("file", "rule", "vector"),
    [
        pytest.param(RULES[name], rule, vector, id=f"{rule}: {vector['name']}")
        for name, rules in RULES.items()
        for rule in rules
        for vector in read("have_arithmetic" if name == "have" else name)[rule]
    ],
)
def test_what_the_code_computes_is_the_outcome_of_the_vector(
    file: Plain, rule: str, vector: Plain
) -> None:
    outcome = file[rule](vector)

    assert outcome.items() <= vector.items()


@pytest.mark.parametrize(
    "vector",
    [pytest.param(v, id=v["name"]) for v in read("merge")["merge"] if v["ours"] and not v["had"]],
)
def test_merging_the_other_way_round_gives_the_same(vector: Plain) -> None:
    theirs = state_from(vector["ours"])
    assert theirs is not None

    merged, _ = merge(
        state_from(vector["theirs"]),
        theirs,
        had=lambda _origin, _n: False,
        rank=RANK,
        policy=Policy.MANUAL if vector["keeps_siblings"] else Policy.LAST_WRITE_WINS,
    )

    assert plain_state(merged) == vector["merged"]


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in read("lives")["parting"] if v["theirs"]]
)
def test_the_other_node_finds_the_same_parting(vector: Plain) -> None:
    """It holds whole histories; what it was told begins with the last life that both know."""
    swapped = {
        **vector,
        "ours": vector["theirs"][1:] if vector["theirs"][0]["first"] == 1 else vector["theirs"],
        "theirs": [{"first": 1, "id": vector["incarnation"]}, *vector["ours"]],
        "top": vector["their_top"],
        "their_top": vector["top"],
    }
    ours = vector["parting"]
    if ours is not None and ours["after"] is None:
        return

    theirs = RULES["lives"]["parting"](swapped)["parting"]

    if ours is None:
        assert theirs is None
    else:
        assert theirs == {**ours, "is_ours": not ours["is_ours"]}


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in read("values")["values"]]
)
def test_values_are_packed_as_the_vectors_say(vector: Plain) -> None:
    value = value_from(vector["value"])

    assert pack_value(value, max_bytes=1_000).hex() == vector["packed"]
    assert repr(unpack_value(bytes.fromhex(vector["packed"]))) == repr(value)
    check_packed_value(bytes.fromhex(vector["packed"]))


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in read("values")["also_accepted"]]
)
def test_values_may_be_packed_in_more_bytes_than_they_need(vector: Plain) -> None:
    packed = bytes.fromhex(vector["packed"])
    check_packed_value(packed)

    assert unpack_value(packed) == value_from(vector["value"])


@pytest.mark.parametrize(
    "vector", [pytest.param(v, id=v["name"]) for v in read("values")["refused"]]
)
def test_what_is_no_value_is_refused_with_the_words_of_the_vector(vector: Plain) -> None:
    with pytest.raises(ProtocolError) as refusal:
        check_packed_value(bytes.fromhex(vector["packed"]))

    assert said_of(refusal.value) == vector["refusal"]


every_element = pytest.mark.parametrize(
    ("kind", "position", "element"),
    [
        pytest.param(kind, position, element, id=f"{kind.name.lower()} {element.name}")
        for kind, elements in ELEMENTS.items()
        for position, element in enumerate(elements, 2)
    ],
)


def base(kind: MessageType) -> Any:
    """A message in which one element may go to the edge of its range, whatever it is."""
    if kind is MessageType.BATCH:
        return MESSAGES[kind][3].message
    if kind is not MessageType.SNAPSHOT_RANGE:
        return MESSAGES[kind][0].message
    return decode(
        edited(
            MESSAGES[kind][0].message,
            (4, "z"),
            (5, True),
            *((7 + i, v) for i, v in enumerate([0, [["n", 0]], [], [], ["k"], 0, 1, 0, 0, 0])),
            (17, [b""]),
            (18, 0),
        )
    )


@every_element
def test_an_element_takes_what_the_document_says_and_nothing_beyond(
    kind: MessageType, position: int, element: Element
) -> None:
    message = base(kind)
    for value in element.kind.accepted:
        changes = [(position, value)]
        if element.name in ("row stamps", "stamp base"):
            other = "stamp base" if element.name == "row stamps" else "row stamps"
            names = [each.name for each in ELEMENTS[kind]]
            changes.append((names.index(other) + 2, 0))
        if kind is MessageType.SNAPSHOT_RANGE and element.name == "claims" and value:
            with pytest.raises(ProtocolError):
                decode(edited(message, *changes))
            continue
        decode(edited(message, *changes))
    for value in element.kind.refused:
        try:
            payload = edited(message, (position, value))
        except OverflowError:
            continue
        with pytest.raises(ProtocolError):
            decode(payload)


def test_the_document_has_all_elements_of_all_messages() -> None:
    assert {kind: len(elements) for kind, elements in ELEMENTS.items()} == {
        kind: READERS[kind].elements for kind in MessageType
    }
    assert all(e.kind.words and e.meaning for elements in ELEMENTS.values() for e in elements)
    assert all(e.kind.accepted for es in ELEMENTS.values() for e in es if isinstance(e.kind, Said))


@pytest.mark.parametrize(
    "limit", [pytest.param(limit, id=limit.name) for limit in LIMITS if limit.at]
)
def test_a_limit_is_reached_and_not_passed(limit: Limit) -> None:
    assert limit.at is not None
    decode(limit.at(limit.number))

    with pytest.raises(ProtocolError):
        decode(limit.at(limit.number + 1))


@pytest.mark.parametrize("path", sorted(rewritten()), ids=lambda path: path.name)
def test_rewriting_changes_no_file(path: Path) -> None:
    """`python -m tests.vectors` writes them; what it changes is a change of the format."""
    assert path.read_text() == rewritten()[path]


def test_no_vector_file_is_left_over() -> None:
    assert {path for path in rewritten() if path.suffix == ".json"} == {*FOLDER.glob("*.json")}


def test_the_document_shows_each_message_with_its_elements_and_bytes() -> None:
    blocks = [found[2] for found in BLOCK.finditer(DOCUMENT.read_text())]

    assert sorted(blocks) == sorted(
        [
            *(f"elements {kind.name}" for kind in MessageType),
            *(f"bytes {kind.name}" for kind in MessageType),
            "limits",
            "reasons",
            "refusals",
        ]
    )


def test_a_dump_holds_every_byte_of_its_message() -> None:
    text = DOCUMENT.read_text()
    for found in BLOCK.finditer(text):
        if found[2].startswith("bytes "):
            rows = [line for line in found[3].splitlines() if not line.startswith("```")]
            payload = bytes.fromhex("".join(line[6:53] for line in rows))
            message = MESSAGES[MessageType[found[2].split()[1]]][0].message

            assert payload == encode(message)
            assert msgpack.unpackb(payload)[0] == 1
