"""All that is made from the code: the vector files, and blocks of docs/protocol.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

from softadastra.errors import ProtocolError
from softadastra.packing import pack_value
from softadastra.store.values import check_packed_value
from softadastra.sync.messages import Message, RejectReason
from softadastra.sync.wire import MessageType, decode, encode
from tests.vectors import limits
from tests.vectors.cases import CASES
from tests.vectors.dump import annotated
from tests.vectors.elements import ELEMENTS, table
from tests.vectors.oddities import ACCEPTED, REFUSED, Other
from tests.vectors.plain import Plain, plain_message, plain_origin
from tests.vectors.rules import ORIGINS, RULES
from tests.vectors.samples import MESSAGES
from tests.vectors.values import REFUSED_VALUES, UNUSUAL_VALUES, VALUES, plain_value

__all__ = ["DOCUMENT", "FOLDER", "document", "rewritten", "said_of"]

FOLDER: Final = Path(__file__).parent
DOCUMENT: Final = FOLDER.parents[1] / "docs" / "protocol.md"
BLOCK: Final = re.compile(r"(<!-- made: ([\w ]+) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)

LIBRARY_WORDS: Final = re.compile(
    r"^(not a MessagePack message|a value of \d+ bytes cannot be read)"
)
"""Behind these come the words of a MessagePack library, which are not ours to keep."""


def said_of(error: ProtocolError) -> str:
    """Give the words of a refusal, without those of a library."""
    known = LIBRARY_WORDS.match(error.message)
    return known[1] if known else error.message


def refusal_of(payload: bytes) -> str:
    try:
        decode(payload)
    except ProtocolError as error:
        return said_of(error)
    raise AssertionError(f"accepted: {payload.hex()}")


def value_refusal_of(packed: bytes) -> str:
    try:
        check_packed_value(packed)
    except ProtocolError as error:
        return said_of(error)
    raise AssertionError(f"accepted: {packed.hex()}")


def vector(name: str, words: str, message: Message, payload: bytes) -> Plain:
    fields = plain_message(message)
    return {"name": name, "words": words, "fields": fields, "bytes": payload.hex()}


def refused(other: Other) -> Plain:
    said = refusal_of(other.payload)
    payload = other.payload.hex()
    return {"name": other.name, "words": other.words, "bytes": payload, "refusal": said}


def message_file(kind: MessageType) -> Plain:
    """Give the vectors of one type of message."""
    return {
        "type": kind.name,
        "number": kind.value,
        "messages": [vector(s.name, s.words, s.message, encode(s.message)) for s in MESSAGES[kind]],
        "also_accepted": [
            vector(other.name, other.words, message, other.payload)
            for message, other in ACCEPTED.get(kind, [])
        ],
        "refused": [refused(other) for other in REFUSED[kind]],
    }


def rule_file(name: str) -> Plain:
    """Give the vectors of what is computed."""
    return {
        "origins": [plain_origin(origin) for origin in ORIGINS],
        **{
            rule: [{**case, **outcome(case)} for case in CASES[name][rule]]
            for rule, outcome in RULES[name].items()
        },
    }


def value_file() -> Plain:
    """Give the vectors of packed values."""
    return {
        "values": [
            {
                "name": name,
                "value": plain_value(value),
                "packed": pack_value(value, max_bytes=1_000).hex(),
            }
            for name, value in VALUES
        ],
        "also_accepted": [
            {"name": name, "value": plain_value(value), "packed": packed}
            for name, value, packed in UNUSUAL_VALUES
        ],
        "refused": [
            {"name": name, "packed": packed, "refusal": value_refusal_of(bytes.fromhex(packed))}
            for name, packed in REFUSED_VALUES
        ],
    }


def text_of(content: Any) -> str:
    """Give JSON whose innermost objects stand on one line."""

    def laid_out(value: Any, indent: str) -> str:
        flat = json.dumps(value, ensure_ascii=False)
        if len(indent) + len(flat) <= 120 or not isinstance(value, dict | list):
            return flat
        inside = indent + "  "
        if isinstance(value, list):
            items = [laid_out(item, inside) for item in value]
            opening, closing = "[", "]"
        else:
            items = [f"{json.dumps(k)}: {laid_out(v, inside)}" for k, v in value.items()]
            opening, closing = "{", "}"
        body = ",\n".join(inside + item for item in items)
        return f"{opening}\n{body}\n{indent}{closing}"

    return laid_out(content, "") + "\n"


def dump(kind: MessageType) -> str:
    """Give the first message of a type byte by byte."""
    names = ["protocol", "type", *(element.name for element in ELEMENTS[kind])]
    return f"```text\n{annotated(encode(MESSAGES[kind][0].message), names)}\n```"


def reasons() -> str:
    """Give the reason codes."""
    lines = ["| code | reason |", "|---|---|"]
    return "\n".join([*lines, *(f"| {r.value} | `{r.name.lower()}` |" for r in RejectReason)])


def refusals() -> str:
    """Give all refusals of bytes, each with an example."""
    said: dict[str, list[str]] = {}
    for kind, others in REFUSED.items():
        for other in others:
            words = f"`{shorten(refusal_of(other.payload), 100, placeholder=' ...')}`"
            said.setdefault(words, []).append(f"{kind.name} {other.name}")
    lines = ["| words | examples in the vectors |", "|---|---|"]
    return "\n".join([*lines, *(f"| {words} | {', '.join(at)} |" for words, at in said.items())])


def block(name: str) -> str:
    """Give the text of a block of the document."""
    match name.split():
        case ["elements", kind]:
            return table(MessageType[kind])
        case ["bytes", kind]:
            return dump(MessageType[kind])
        case ["limits"]:
            return limits.table()
        case ["reasons"]:
            return reasons()
        case ["refusals"]:
            return refusals()
        case _:
            raise AssertionError(f"no block {name}")


def document(text: str) -> str:
    """Give the document with its blocks made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{block(found[2])}\n{found[4]}", text)


def rewritten() -> dict[Path, str]:
    """Give all files as they are to be."""
    files = {FOLDER / f"{kind.name.lower()}.json": message_file(kind) for kind in MessageType}
    files |= {FOLDER / f"{name}.json": rule_file(name) for name in RULES if name != "have"}
    files[FOLDER / "have_arithmetic.json"] = rule_file("have")
    files[FOLDER / "values.json"] = value_file()
    texts = {path: text_of(content) for path, content in files.items()}
    return {**texts, DOCUMENT: document(DOCUMENT.read_text())}
