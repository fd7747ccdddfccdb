"""Every limit of the protocol with its number, what happens one beyond, and messages at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from softadastra.store.clock import DRAG_MAX_MS
from softadastra.store.values import NESTING_MAX
from softadastra.sync.answers import HAVE_INTERVAL_MS
from softadastra.sync.connections import CONTEST_MS
from softadastra.sync.engine import GREETING_MAX_MS, PARTED_MAX_MS
from softadastra.sync.exclusions import BAD_MESSAGES_MAX, EXCLUSION_MAX_MS, EXCLUSION_MIN_MS
from softadastra.sync.fields import (
    BATCH_ENTRIES_MAX,
    CLAIMED_MAX,
    KEY_BYTES_MAX,
    LIVES_MAX,
    MEMBERS_MAX,
    ORIGINS_MAX,
    RANGES_MAX,
)
from softadastra.sync.messages import Message
from softadastra.sync.reception import RECONCILE_INTERVAL_MS
from softadastra.sync.session import BACKOFF_MAX_MS, PING_INTERVAL_MS, SILENCE_MAX_MS
from softadastra.sync.settings import CONNECTED_MAX, KNOWN_MAX
from softadastra.sync.snapshots import SERVING_MAX_MS
from softadastra.sync.wire import MESSAGE_BYTES_MAX, MessageType, encode
from softadastra.transport.callers import CALLERS_MAX, FIRST_WORD_MS, LEAVE_MS
from softadastra.transport.intake import ONE_BYTES_MAX
from softadastra.transport.links import FRAME_BYTES_MAX
from softadastra.transport.sockets import HANDSHAKE_TIMEOUT_MS, QUEUE_MESSAGES_MAX
from tests.vectors.elements import said
from tests.vectors.samples import BATCH, MESSAGES, edited

__all__ = ["LIMITS", "Limit", "table"]

REFUSED: Final = "refused, and the connection is dropped"


class Limit(NamedTuple):
    """A limit of what may be sent, or a time."""

    name: str
    number: int
    unit: str
    beyond: str
    at: Callable[[int], bytes] | None = None
    """Gives a message of so much; None: it is not a matter of a message's bytes."""


def edit(kind: MessageType, position: int, value: Callable[[int], Any]) -> Callable[[int], bytes]:
    return lambda count: edited(MESSAGES[kind][0].message, (position, value(count)))


def rows(count: int) -> bytes:
    keys = [f"k{i}" for i in range(count)]
    same = [1] * count
    columns = ([0] * count, list(range(1, count + 1)), same, same, [b""] * count, [0] * count)
    message: Message = replace(BATCH, keys=keys, columns=columns)
    return encode(message)


def state(siblings: int, context: int) -> list[Any]:
    held = [[0, n, 1, 1, b"", 0] for n in range(1, siblings + 1)]
    return [held, [0, 1] * context]


def with_state(make: Callable[[int], list[Any]]) -> Callable[[int], bytes]:
    return lambda count: edited(BATCH, (7, ["a", "b", "c"]), (15, [make(count)]))


def ranges(count: int) -> list[Any]:
    """Ranges of two origins: the limit is of all together."""
    first = [n for i in range(count - 1) for n in (3 * i + 3, 3 * i + 3)]
    return [["a", 1, 0, first], ["b", 1, 0, [3, 3]]]


def nested(depth: int) -> bytes:
    value = b"\x91" * (depth - 1) + b"\x90"
    return edited(BATCH, (13, [b"\x01", value]))


def padded(size: int) -> bytes:
    """A batch of exactly so many bytes."""
    empty = len(edited(BATCH, (13, [b"\x01", b"\xc6" + bytes(4)])))
    # A value of more than 65,535 bytes has a longer header than the empty one, twice.
    data = bytes(size - empty - 3)
    return edited(BATCH, (13, [b"\x01", b"\xc6" + len(data).to_bytes(4, "big") + data]))


LIMITS: Final = [
    Limit("message", MESSAGE_BYTES_MAX, "bytes", f"{REFUSED}; by ZeroMQ already", padded),
    Limit("entries of a batch", BATCH_ENTRIES_MAX, "", REFUSED, rows),
    Limit("claims of a batch", BATCH_ENTRIES_MAX, "", REFUSED,
          edit(MessageType.BATCH, 6, lambda count: [[0, 1, [1, 0, 0]]] * count)),
    Limit("runs of a claim", BATCH_ENTRIES_MAX, "", REFUSED,
          edit(MessageType.BATCH, 6, lambda count: [[0, 1, [1, 0, 0] * count]])),
    Limit("writes that a batch claims", CLAIMED_MAX, "", REFUSED,
          edit(MessageType.BATCH, 6, lambda count: [[0, 1, [count - 1, 0, 0]], [0, 1, [1, 0, 0]]])),
    Limit("siblings of a state", BATCH_ENTRIES_MAX, "", REFUSED,
          with_state(lambda count: state(count, 0))),
    Limit("origins in a context", ORIGINS_MAX, "", REFUSED,
          with_state(lambda count: state(1, count))),
    Limit("origins of a batch or a have", ORIGINS_MAX, "", REFUSED,
          edit(MessageType.BATCH, 4, lambda count: [["n", i] for i in range(count)])),
    Limit("ranges above the bases of one have, together", RANGES_MAX, "",
          f"a sender leaves out the last; {REFUSED}", edit(MessageType.ACK, 3, ranges)),
    Limit("lives of an origin", LIVES_MAX, "", f"a sender tells the latest; {REFUSED}",
          edit(MessageType.HELLO, 11,
               lambda count: [[0, *(n for i in range(count) for n in (i + 1, 1))]])),
    Limit("reports in a HAVE", MEMBERS_MAX, "", REFUSED,
          edit(MessageType.HAVE, 7, lambda count: [[f"n{i}", 0, []] for i in range(count)])),
    Limit("key", KEY_BYTES_MAX, "bytes", REFUSED,
          edit(MessageType.BATCH, 7, lambda count: ["a", "k" * count])),
    Limit("containers inside each other in a value", NESTING_MAX, "", REFUSED, nested),
    Limit("ZeroMQ frame (MAXMSGSIZE)", FRAME_BYTES_MAX, "bytes", "libzmq cuts the connection"),
    Limit("messages queued a connection and direction (SNDHWM, RCVHWM)", QUEUE_MESSAGES_MAX, "",
          "the sender's socket is full; what is not sent now is sent later"),
    Limit("bytes of a message that has not ended", ONE_BYTES_MAX, "bytes",
          "the connection is cut, on Linux; a bad message"),
    Limit("connections that came in", CALLERS_MAX, "",
          "one is cut that has said nothing yet, of the host with most of them; else the new one. "
          "Fewer where a process may have few descriptors: a quarter of them"),
    Limit("connected peers", CONNECTED_MAX, "",
          "`busy`; a peer that people have named takes the place of one that nobody named"),
    Limit("known peers, met or named", KNOWN_MAX, "", "`busy`, unless people have named it"),
    Limit("bad messages in 60,000 ms", BAD_MESSAGES_MAX - 1, "", "their sender is shut out"),
    Limit("the first time shut out", EXCLUSION_MIN_MS, "ms", "it is heard again"),
    Limit("the longest time shut out", EXCLUSION_MAX_MS, "ms", "it is heard again"),
    Limit("ZMTP handshake", HANDSHAKE_TIMEOUT_MS, "ms", "the connection is cut"),
    Limit("without a first message, from the accept on", FIRST_WORD_MS, "ms",
          "the connection is cut"),
    Limit("on the way out", LEAVE_MS, "ms", "a dropped connection that came in is cut"),
    Limit("without a greeting", GREETING_MAX_MS, "ms", "the connection is dropped"),
    Limit("silence before a PING", PING_INTERVAL_MS, "ms", "the peer is asked"),
    Limit("silence", SILENCE_MAX_MS, "ms", "the connection is dropped"),
    Limit("interval of HAVE", HAVE_INTERVAL_MS, "ms, 30 % more or less", "one is told"),
    Limit("contest of two processes of one name", CONTEST_MS, "ms",
          "the silent one loses its connection"),
    Limit("parted histories", PARTED_MAX_MS, "ms", "the connection is dropped"),
    Limit("wait between retries", BACKOFF_MAX_MS, "ms", "waits double up to this, for ever"),
    Limit("between reconciliations", RECONCILE_INTERVAL_MS, "ms",
          "digests that differ begin another"),
    Limit("a snapshot whose receiver is away", SERVING_MAX_MS, "ms",
          "is given up; the next one begins anew"),
    Limit("how far a stamp drags the clock ahead of the wall", DRAG_MAX_MS, "ms",
          "the stamp is taken as it is, the clock stays"),
]  # fmt: skip


def table() -> str:
    """Give all limits as a table."""
    lines = ["| limit | number | one beyond |", "|---|---|---|"]
    for limit in LIMITS:
        number = f"{said(limit.number)} {limit.unit}".rstrip()
        lines.append(f"| {limit.name} | {number} | {limit.beyond} |")
    return "\n".join(lines)
