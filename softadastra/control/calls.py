"""The calls that a control socket takes: their names, arguments and results.

Most are the calls of `Operations` as they are. A batch travels as a whole, when its block ends; and
`stop` is for whoever runs the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from softadastra.control.operations import Operations
from softadastra.control.shapes import Stored, from_plain, to_plain
from softadastra.control.watching import Place, watched
from softadastra.errors import InvalidStateError, ProtocolError
from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.types import (
    Change,
    Conflict,
    Entry,
    NodeInfo,
    Peer,
    PeerStatus,
    PutResult,
    SyncState,
    TickResult,
    TombstoneHold,
    Value,
)
from softadastra.vitals import Vitals

__all__ = [
    "CALLS",
    "WAIT_SECONDS_MAX",
    "About",
    "Call",
    "Lengthy",
    "Live",
    "Served",
    "Stream",
    "Write",
]

T = TypeVar("T")

WAIT_SECONDS_MAX = 60.0
"""The longest that one request may wait for a peer. Who waits longer asks again: so a command that
was ended while it waited holds its place for no longer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Who answers, as a node says at the begin of each connection."""

    node_id: str
    pid: int
    started_at_ms: int
    log: str | None
    """The write-ahead log; None: nothing is kept on disk."""
    place: str
    """What tells this log from every other file of the machine: see `places.log_identity`."""
    is_stoppable: bool
    """Whether `stop` ends it, as it does `node run`; an application ends its own nodes."""
    host: str
    security: str | None
    max_key_bytes: int
    max_value_bytes: int


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a batch."""

    key: str
    packed: bytes | None
    """The value as a store keeps it; None: the key is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a control socket answers for."""

    node: Operations
    about: About
    stop: Callable[[], None] | None
    """Ends the node from outside; None: only its application can."""


class Call(Generic[T]):
    """A call with one result.

    Args:
        name: as requests have it.
        arguments: the type of each.
        result: its type.
        run: gives the result; by default the method of this name.
    """

    __slots__ = ("arguments", "name", "result", "run")

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, object],
        result: object,
        run: Callable[..., object] | None = None,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.result = result
        self.run = run or (lambda served, *values: getattr(served.node, name)(*values))

    def plain_arguments(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Make what a request carries."""
        return {name: to_plain(shape, values[name]) for name, shape in self.arguments.items()}

    def answer(self, served: Served, plain: Mapping[str, Any]) -> Any:
        """Run it with a request's arguments.

        Raises:
            ProtocolError: they are not what the call takes.
            SoftadastraError: as the call.
        """
        if plain.keys() != self.arguments.keys():
            raise ProtocolError(
                f"the call {self.name!r} takes {', '.join(self.arguments) or 'nothing'}; got"
                f" {', '.join(plain) or 'nothing'}: use the softadastra that the node runs"
            )
        values = [from_plain(shape, plain[name]) for name, shape in self.arguments.items()]
        return self.run(served, *values)


class Lengthy(Call[T]):
    """A call that may take long though the node is well: for others, or for much work."""

    __slots__ = ()


class Stream(Lengthy[T]):
    """A call that gives any number of elements, each of the type of the result."""

    __slots__ = ()


class Live(Stream[T]):
    """A call that goes on until the command leaves or the node is closed.

    None among its elements says that nothing waits: what was given before is to be sent.
    """

    __slots__ = ()


def _batch(served: Served, writes: list[Write]) -> list[PutResult | None]:
    with served.node.batch() as batch:
        for write in writes:
            if write.packed is None:
                batch.remove(write.key)
            else:
                batch.put(write.key, from_plain(Stored, write.packed))
    return batch.results


def _connect(served: Served, peer: Peer, timeout: float) -> None:
    served.node.connect(peer, min(timeout, WAIT_SECONDS_MAX))


def _wait_synced(
    served: Served, timeout: float, peers: str | int | list[str], up_to: int
) -> bool | None:
    """Wait; None: it may still come, for whoever asks again."""
    is_synced = served.node.wait_synced(min(timeout, WAIT_SECONDS_MAX), peers, up_to=up_to)
    return is_synced or (False if served.node.transport_port is None else None)


def _backup(served: Served, path: str) -> None:
    served.node.backup(Path(path))


def _stop(served: Served) -> None:
    """Say that it can be stopped; the server does so when this is said."""
    if served.stop is None:
        raise InvalidStateError(
            f"node {served.about.node_id!r} is part of an application, process"
            f" {served.about.pid}: it ends with it, or when the application closes its client",
            pid=served.about.pid,
        )


PUT: Call[PutResult] = Call("put", {"key": str, "value": Stored}, PutResult)
REMOVE: Call[bool] = Call(
    "remove",
    {"key": str, "seen": list[str] | None},
    bool,
    lambda served, key, seen: served.node.remove(key, seen=seen),
)
ENTRY: Call[Entry | None] = Call("entry", {"key": str}, Entry | None)
ITEMS: Stream[tuple[str, Value]] = Stream("items", {"prefix": str}, tuple[str, Stored])
BATCH: Call[list[PutResult | None]] = Call(
    "batch", {"writes": list[Write]}, list[PutResult | None], _batch
)
SIZE: Call[int] = Call("size", {}, int)
DIGEST: Call[str] = Call("digest", {}, str)
CONFLICTS: Stream[Conflict] = Stream("conflicts", {}, Conflict)
RESOLVE: Call[PutResult] = Call(
    "resolve",
    {"key": str, "value": Stored, "seen": list[str] | None},
    PutResult,
    lambda served, key, value, seen: served.node.resolve(key, value, seen=seen),
)
WATCH: Live[Change | Place] = Live(
    "watch",
    {"prefix": str, "since": str | None},
    Change | Place,
    lambda served, prefix, since: watched(served.node, prefix, since),
)
TICK: Call[TickResult] = Call("tick", {"prune": bool}, TickResult)
SYNC_STATE: Call[SyncState] = Call("sync_state", {}, SyncState)
RETRY_EXPIRED: Call[int] = Call("retry_expired", {}, int)
REQUEUE_FAILED: Call[int] = Call("requeue_failed", {}, int)
QUEUE_PENDING: Call[int] = Call("queue_pending", {}, int)
WAIT_SYNCED: Call[bool | None] = Lengthy(
    "wait_synced",
    {"timeout": float, "peers": str | int | list[str], "up_to": int},
    bool | None,
    _wait_synced,
)
CONNECT: Call[None] = Lengthy("connect", {"peer": Peer, "timeout": float}, None, _connect)
DISCONNECT: Call[None] = Call("disconnect", {"peer": str}, None)
FORGET: Call[None] = Call("forget", {"node_id": str}, None)
PEERS: Call[list[PeerStatus]] = Call("peers", {}, list[PeerStatus])
TOMBSTONE_HOLDS: Call[list[TombstoneHold]] = Call("tombstone_holds", {}, list[TombstoneHold])
VITALS: Call[Vitals] = Call("vitals", {}, Vitals)
EXPLAIN_KEY: Call[KeyExplanation] = Call("explain_key", {"key": str}, KeyExplanation)
EXPLAIN_PEER: Call[PeerExplanation] = Call("explain_peer", {"node_id": str}, PeerExplanation)
NODE_INFO: Call[NodeInfo] = Call("node_info", {}, NodeInfo)
TRANSPORT_PORT: Call[int | None] = Call(
    "transport_port", {}, int | None, lambda served: served.node.transport_port
)
DISCOVERY_RUNNING: Call[bool] = Call(
    "discovery_running", {}, bool, lambda served: served.node.discovery_running
)
BACKUP: Call[None] = Lengthy("backup", {"path": str}, None, _backup)
COMPACT: Call[None] = Lengthy("compact", {}, None)
STOP: Call[None] = Call("stop", {}, None, _stop)

_ALL: Iterable[Call[Any]] = (
    PUT,
    REMOVE,
    ENTRY,
    ITEMS,
    BATCH,
    SIZE,
    DIGEST,
    CONFLICTS,
    RESOLVE,
    WATCH,
    TICK,
    SYNC_STATE,
    RETRY_EXPIRED,
    REQUEUE_FAILED,
    QUEUE_PENDING,
    WAIT_SYNCED,
    CONNECT,
    DISCONNECT,
    FORGET,
    PEERS,
    TOMBSTONE_HOLDS,
    VITALS,
    EXPLAIN_KEY,
    EXPLAIN_PEER,
    NODE_INFO,
    TRANSPORT_PORT,
    DISCOVERY_RUNNING,
    BACKUP,
    COMPACT,
    STOP,
)

CALLS: Mapping[str, Call[Any]] = {call.name: call for call in _ALL}
