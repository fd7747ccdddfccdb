"""All that an engine knows and keeps, with every name spelt out: to compare two of them."""

from __future__ import annotations

from typing import Any

from softadastra.store.siblings import Sibling, context_of, siblings_of
from softadastra.sync.engine import Engine

__all__ = ["described"]


def described(engine: Engine) -> dict[str, Any]:
    """Give what has to be the same after a restart."""
    replica = engine.replica
    origins = replica.origins

    def sibling(found: Sibling) -> tuple[Any, ...]:
        return (origins[found[0]], *found[1:])

    known = {number for number, _ in replica.haves()} | {
        number for told in (replica.lives, replica.named) for number, about in told.items() if about
    }
    return {
        "me": origins[replica.me],
        "entries": {
            key: (
                [sibling(s) for s in siblings_of(state)],
                {origins[number]: n for number, n in context_of(state).items()},
            )
            for key, state in replica.entries.items()
        },
        "histories": {
            origins[number]: (
                replica.history(number),
                replica.named.get(number, 0),
                list(replica.logs[number].ranges()) if number in replica.logs else [],
                replica.logs[number].collected if number in replica.logs else None,
                sorted(replica.logs[number].rows()) if number in replica.logs else [],
            )
            for number in known
        },
        "tombstones": set(replica.tombstones),
        "conflicted": set(replica.conflicted),
        "lost": [(each.key, sibling(each.loser), sibling(each.winner)) for each in replica.lost],
        "sums": (replica.digest, len(replica), replica.size_bytes),
        "clocks": (replica.clock, replica.last_remote),
        "members": {member.node_id: member for member in engine.members},
        "forgotten": (engine.members.forgotten, engine.members.forgotten_retries),
        "outbox": (engine.floor, engine.delivery.released),
    }
