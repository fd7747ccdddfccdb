"""Opening a node's log, and the state that it gives."""

from __future__ import annotations

import random
import secrets

from softadastra.metadata.host import read_host
from softadastra.node_settings import engine_options, policies_of
from softadastra.options import ClientOptions
from softadastra.runtime.events import Events
from softadastra.runtime.recovery import recover, settle_place
from softadastra.sync.engine import Engine
from softadastra.sync.notices import Level, Notice
from softadastra.wal.log import WriteAheadLog

__all__ = ["recovered_engine"]


def recovered_engine(options: ClientOptions, log: WriteAheadLog | None, events: Events) -> Engine:
    """Open the log and give the state that it holds; without a log, a new one.

    When it raises, the log is to be closed.
    """
    drawn = incarnation = secrets.randbits(64)
    if log is not None:
        header = log.open(node_id=options.node_id, incarnation=drawn)
        incarnation = header.incarnation
    recovered = recover(
        () if log is None else log.replay(),
        node_id=options.node_id,
        incarnation=incarnation,
        policies=policies_of(options),
        options=engine_options(options),
        nonce=secrets.randbits(64),
        jitter=random.random,
        is_new=incarnation == drawn,
    )
    if log is not None:
        fresh = secrets.randbits(64)
        settle_place(recovered.engine, log, host=read_host(), incarnation=fresh)
        fields: dict[str, object] = {"path": str(log.path), "records": recovered.records}
        fields["keys"] = len(recovered.engine.replica)
        events.emit(Notice(Level.INFO, "wal.replayed", fields))
        torn = log.torn_tail
        if torn is not None:
            cut: dict[str, object] = {"path": str(log.path), "offset": torn.offset}
            cut |= {"size_bytes": torn.size_bytes, "kept_at": str(torn.kept_at)}
            events.emit(Notice(Level.WARNING, "wal.tail_cut", cut))
    return recovered.engine
