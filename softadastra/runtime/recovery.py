"""A node's state from its log: the records of its former lives, evolved in order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from softadastra.errors import StoreError
from softadastra.store.changes import OWN
from softadastra.store.lives import lived
from softadastra.store.policies import Policies
from softadastra.store.replica import Replica
from softadastra.store.splitting import Split
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Level
from softadastra.sync.records import Placed, Record, RecordEncoder
from softadastra.sync.replay import Frame, decode_together, gathered
from softadastra.sync.settings import EngineOptions

__all__ = ["PlacedLog", "Recovered", "recover", "settle_place"]


class Recovered(NamedTuple):
    """A node's state, and how many records of its log made it."""

    engine: Engine
    records: int


class PlacedLog(Protocol):
    """A log that knows which file it is, as `wal.log.WriteAheadLog` does."""

    @property
    def identity(self) -> tuple[int, int]:
        """Device and number of its file."""

    def append_many(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Append all of the frames, or raise and change nothing."""

    def sync(self) -> None:
        """Make what was appended before durable."""


def settle_place(engine: Engine, log: PlacedLog, *, host: str, incarnation: int) -> None:
    """Note where the log is. A copy of it takes a new incarnation before its first write.

    The original may go on, and two nodes must not give out the same numbers.

    Args:
        engine: recovered from the log.
        log: replayed to its end.
        host: the machine.
        incarnation: 64 random bits, for a copy.

    Raises:
        StorageError: the log takes no record; a copy must not be written to without.
    """
    place, replica = Placed(host, *log.identity), engine.replica
    records: list[Record] = []
    life = None
    if engine.place not in (None, place):
        # What a peer may have keeps its numbers. When nobody was ever met, all goes on under the
        # new incarnation, and the outbox with it.
        was_met = any(member.accepted for member in engine.members)
        after = replica.top if was_met else 0
        if after < replica.top:
            # The original may go on with the life that the last of these numbers are of.
            life = engine.life
        records.append(Split(replica.origins[replica.me], after, incarnation))
        facts = {"peer": None, "moved": replica.top - after, "lost": 0}
        engine.notices.note(Level.WARNING, "identity.renewed", reason="copied", **facts)
    if engine.place != place:
        records.append(place)
        encode = RecordEncoder(replica.origins).encode
        log.append_many([encode(record) for record in records])
        log.sync()
    for record in records:
        engine.evolve(record)
    engine.life = engine.life or life


def recover(
    frames: Iterable[tuple[int, bytes]],
    *,
    node_id: str,
    incarnation: int,
    policies: Policies,
    options: EngineOptions,
    nonce: int,
    jitter: Callable[[], float],
    is_new: bool,
) -> Recovered:
    """Make a node's engine, and evolve it by what its log holds.

    Args:
        frames: kind and payload of each record; none for a node without a past.
        node_id: the node.
        incarnation: of its log.
        policies: what happens to concurrent writes.
        options: the engine's settings.
        nonce: drawn anew for each life.
        jitter: gives a number from 0 to 1, uniformly.
        is_new: whether the log was made just now, or there is none. The writes of any other opening
            are told from those of other openings, also of a copy.

    Raises:
        StoreError: a record is intact and cannot be read, as one of a newer version.
    """
    replica = Replica(node_id, incarnation, policies)
    engine = Engine(replica, options, nonce=nonce, jitter=jitter)
    records = 0
    # Nothing that replay makes is garbage, and looking for some in a million new tuples over
    # and over takes a third of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for group in gathered(frames):
            try:
                for record in decode_together(group, replica.origins):
                    engine.evolve(record)
            except StoreError:
                raise
            except Exception as error:  # its checksum is right, so nothing is expected of it
                raise unreadable(records + 1, group, error) from error
            records += len(group)
    finally:
        if was_enabled:
            gc.enable()
    replica.lives[OWN] = lived(replica.lives.get(OWN, ()), replica.top)
    engine.life = None if is_new else nonce
    return Recovered(engine, records)


def unreadable(first: int, group: Sequence[Frame], error: Exception) -> StoreError:
    """Give the error for one of these records, whose number is that of the first."""
    last, kind = first + len(group) - 1, group[0][0]
    which = f"record {first}" if first == last else f"one of the records {first} to {last}"
    size_bytes = sum(len(payload) for _, payload in group)
    return StoreError(
        f"{which} of the log (kind {kind}, {size_bytes} bytes) is intact and cannot be read: "
        f"{error!r:.200}; nothing was changed: open it with the version that wrote it, or save the "
        "rest with 'softadastra wal repair'",
        kind=kind,
        record=first,
    )
