"""Messages as plain JSON, with a name for each field, and back. Bytes are hexadecimal text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, assert_never

from softadastra.store.changes import Claim
from softadastra.store.dots import DotSet
from softadastra.store.lives import Life
from softadastra.store.origins import Origin
from softadastra.store.siblings import Context, KeyState, Sibling
from softadastra.sync.messages import (
    Ack,
    Batch,
    Bye,
    Have,
    Haves,
    Hello,
    Lives,
    Message,
    Named,
    Ping,
    Pong,
    Reject,
    RejectReason,
    Report,
    SnapshotBegin,
    SnapshotCommit,
    SnapshotRange,
)
from softadastra.sync.wire import MessageType

__all__ = [
    "Plain",
    "dots_from",
    "lives_from",
    "message_from",
    "plain_dots",
    "plain_lives",
    "plain_message",
    "plain_origin",
    "plain_sibling",
    "sibling_from",
    "type_of",
]

Plain: TypeAlias = dict[str, Any]

NONE_NAMED: Final[Named] = {}


def type_of(message: Message) -> MessageType:
    """Give the type that a message has on the wire."""
    name = type(message).__name__
    return MessageType["".join(f"_{c}" if c.isupper() else c for c in name)[1:].upper()]


def plain_origin(origin: Origin) -> Plain:
    return {"node_id": origin.node_id, "incarnation": origin.incarnation}


def origin_from(plain: Plain) -> Origin:
    return Origin(plain["node_id"], plain["incarnation"])


def plain_dots(dots: DotSet) -> Plain:
    return {"base": dots.base, "above": [list(found) for found in dots.above]}


def dots_from(plain: Plain) -> DotSet:
    return DotSet(plain["base"], [(first, last) for first, last in plain["above"]])


def plain_haves(haves: Haves, named: Named = NONE_NAMED) -> list[Plain]:
    origins = dict.fromkeys([*haves, *named])
    return [
        {**plain_origin(origin), **plain_dots(haves.get(origin, DotSet()))}
        | ({"named": named[origin]} if origin in named else {})
        for origin in origins
    ]


def haves_from(plain: list[Plain]) -> Haves:
    found = {origin_from(item): dots_from(item) for item in plain}
    named = named_from(plain)
    return {origin: dots for origin, dots in found.items() if dots.top or origin not in named}


def named_from(plain: list[Plain]) -> Named:
    return {origin_from(item): item["named"] for item in plain if "named" in item}


def plain_lives(lives: Iterable[Life]) -> list[Plain]:
    return [life._asdict() for life in lives]


def lives_from(plain: list[Plain]) -> list[Life]:
    return [Life(**life) for life in plain]


def plain_told(told: Iterable[tuple[int, Sequence[Life]]]) -> list[Plain]:
    return [{"origin": position, "lives": plain_lives(lives)} for position, lives in told]


def plain_lives_of(haves: Haves, lives: Lives, named: Named = NONE_NAMED) -> list[Plain]:
    origins = dict.fromkeys([*haves, *named])
    return plain_told((i, lives[origin]) for i, origin in enumerate(origins) if origin in lives)


def lives_of(have: list[Plain], plain: list[Plain]) -> Lives:
    origins = [origin_from(item) for item in have]
    return {origins[item["origin"]]: lives_from(item["lives"]) for item in plain}


def plain_sibling(sibling: Sibling) -> Plain:
    origin, n, stamp, version, value, flags = sibling
    numbers = {"origin": origin, "n": n, "stamp": stamp, "version": version}
    return {**numbers, "value": value.hex(), "flags": flags}


def sibling_from(plain: Plain) -> Sibling:
    value = bytes.fromhex(plain["value"])
    return plain["origin"], plain["n"], plain["stamp"], plain["version"], value, plain["flags"]


def plain_context(context: Context) -> list[Plain]:
    return [{"origin": origin, "n": n} for origin, n in context.items()]


def plain_batch(batch: Batch) -> Plain:
    rows = zip(*batch.columns, strict=True)
    states = [*(((row,), {}) for row in rows), *((s.siblings, s.context) for s in batch.states)]
    return {
        "id": batch.id,
        "told": batch.told,
        "origins": [plain_origin(origin) for origin in batch.origins],
        "lives": plain_told(batch.lives),
        "claims": [
            {
                "origin": claim.origin,
                "first": claim.first,
                "runs": [
                    {"count": count, "entry": entry, "stride": stride}
                    for count, entry, stride in claim.runs
                ],
            }
            for claim in batch.claims
        ],
        "entries": [
            {
                "key": key,
                "siblings": [plain_sibling(sibling) for sibling in siblings],
                "context": plain_context(context),
            }
            for key, (siblings, context) in zip(batch.keys, states, strict=True)
        ],
    }


def batch_from(plain: Plain) -> Batch:
    rows: list[Sibling] = []
    states: list[KeyState] = []
    for entry in plain["entries"]:
        siblings = tuple(sibling_from(sibling) for sibling in entry["siblings"])
        context = {item["origin"]: item["n"] for item in entry["context"]}
        if len(siblings) == 1 and not context:
            assert not states, "entries of one sibling without a context come first"
            rows.append(siblings[0])
        else:
            states.append(KeyState(siblings, context))
    origins, ns, stamps, versions, values, flags = (
        (list(column) for column in zip(*rows, strict=True)) if rows else ([] for _ in range(6))
    )
    return Batch(
        id=plain["id"],
        told=plain["told"],
        origins=[origin_from(origin) for origin in plain["origins"]],
        lives=[(item["origin"], lives_from(item["lives"])) for item in plain["lives"]],
        claims=[
            Claim(
                claim["origin"],
                claim["first"],
                [(run["count"], run["entry"], run["stride"]) for run in claim["runs"]],
            )
            for claim in plain["claims"]
        ],
        keys=[entry["key"] for entry in plain["entries"]],
        columns=(origins, ns, stamps, versions, values, flags),
        states=states,
    )


def plain_message(message: Message) -> Plain:
    """Give the fields of a message."""
    match message:
        case Hello():
            snapshot, key = message.resume or (None, None)
            return {
                "protocols": list(message.protocols),
                "features": sorted(message.features),
                "cluster": message.cluster,
                "node_id": message.node_id,
                "incarnation": message.incarnation,
                "nonce": message.nonce,
                "wall_ms": message.wall_ms,
                "policies": message.policies,
                "have": plain_haves(message.have, message.named),
                "lives": plain_lives_of(message.have, message.lives, message.named),
                "digest": message.digest.hex(),
                "credit": message.credit,
                "neighbours": sorted(message.neighbours),
                "resume": None if snapshot is None else {"snapshot": snapshot, "key": key},
                "number": message.number,
            }
        case Reject(reason, words):
            return {"reason": reason.name.lower(), "words": words}
        case Batch():
            return plain_batch(message)
        case Ack(batches, have, credit):
            return {"batches": batches, "have": plain_haves(have), "credit": credit}
        case Have(number, have, named, lives, digest, neighbours, known):
            return {
                "number": number,
                "have": plain_haves(have, named),
                "lives": plain_lives_of(have, lives, named),
                "digest": digest.hex(),
                "neighbours": sorted(neighbours),
                "known": [
                    {
                        "node_id": node_id,
                        "age_ms": report.age_ms,
                        "have": plain_haves(report.have),
                    }
                    for node_id, report in known.items()
                ],
            }
        case SnapshotBegin(snapshot, id, have, lives):
            told = plain_lives_of(have, lives)
            return {"snapshot": snapshot, "id": id, "have": plain_haves(have), "lives": told}
        case SnapshotRange(snapshot, after, last, is_end, batch):
            head = {"snapshot": snapshot, "after": after, "last": last, "is_end": is_end}
            return {**head, "batch": plain_batch(batch)}
        case SnapshotCommit(snapshot, id):
            return {"snapshot": snapshot, "id": id}
        case Ping(sent_ms) | Pong(sent_ms):
            return {"sent_ms": sent_ms}
        case Bye():
            return {}
        case _ as unreachable:
            assert_never(unreachable)


def hello_from(plain: Plain) -> Hello:
    resume = plain["resume"]
    lowest, highest = plain["protocols"]
    same = (
        "cluster", "node_id", "incarnation", "nonce", "wall_ms", "policies", "credit", "number"
    )  # fmt: skip
    return Hello(
        protocols=(lowest, highest),
        features=frozenset(plain["features"]),
        have=haves_from(plain["have"]),
        named=named_from(plain["have"]),
        lives=lives_of(plain["have"], plain["lives"]),
        digest=bytes.fromhex(plain["digest"]),
        neighbours=frozenset(plain["neighbours"]),
        resume=None if resume is None else (resume["snapshot"], resume["key"]),
        **{name: plain[name] for name in same},
    )


def have_from(plain: Plain) -> Have:
    return Have(
        plain["number"],
        haves_from(plain["have"]),
        named_from(plain["have"]),
        lives_of(plain["have"], plain["lives"]),
        bytes.fromhex(plain["digest"]),
        frozenset(plain["neighbours"]),
        {
            item["node_id"]: Report(item["age_ms"], haves_from(item["have"]))
            for item in plain["known"]
        },
    )


def begin_from(plain: Plain) -> SnapshotBegin:
    have, lives = haves_from(plain["have"]), lives_of(plain["have"], plain["lives"])
    return SnapshotBegin(plain["snapshot"], plain["id"], have, lives)


READERS: Final[dict[MessageType, Callable[[Plain], Message]]] = {
    MessageType.HELLO: hello_from,
    MessageType.REJECT: lambda p: Reject(RejectReason[p["reason"].upper()], p["words"]),
    MessageType.BATCH: batch_from,
    MessageType.ACK: lambda p: Ack(p["batches"], haves_from(p["have"]), p["credit"]),
    MessageType.HAVE: have_from,
    MessageType.SNAPSHOT_BEGIN: begin_from,
    MessageType.SNAPSHOT_RANGE: lambda p: SnapshotRange(
        p["snapshot"], p["after"], p["last"], p["is_end"], batch_from(p["batch"])
    ),
    MessageType.SNAPSHOT_COMMIT: lambda p: SnapshotCommit(p["snapshot"], p["id"]),
    MessageType.PING: lambda p: Ping(p["sent_ms"]),
    MessageType.PONG: lambda p: Pong(p["sent_ms"]),
    MessageType.BYE: lambda _: Bye(),
}


def message_from(kind: MessageType, plain: Plain) -> Message:
    """Make a message of its fields."""
    return READERS[kind](plain)
