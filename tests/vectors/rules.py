"""What is computed from messages: the code behind the cases of `cases.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from softadastra.store.changes import Arrivals
from softadastra.store.clock import next_stamp, observed
from softadastra.store.digest import fingerprint
from softadastra.store.dots import DotSet, contains, intersect, subtract
from softadastra.store.lives import begun, history, joined, parting
from softadastra.store.origins import Origin, Origins
from softadastra.store.outliving import outlived
from softadastra.store.policies import LAST_WRITE_WINS, Policy
from softadastra.store.replica import Replica
from softadastra.store.siblings import (
    State,
    context_of,
    merge,
    order,
    shown,
    siblings_of,
    simplest,
)
from softadastra.store.splitting import Renaming
from softadastra.store.writes import decide_writes
from tests.vectors.plain import (
    Plain,
    dots_from,
    lives_from,
    plain_dots,
    plain_lives,
    plain_sibling,
    sibling_from,
)

__all__ = ["RULES", "plain_state", "state_from"]

ORIGINS: Final = [Origin("till", 7), Origin("office", 9), Origin("till", 8), Origin("Ünit", 1)]
"""What the numbers in the cases stand for. By name: office, till 7, till 8, Ünit."""


def interned() -> Origins:
    origins = Origins()
    for origin in ORIGINS:
        origins.number(origin)
    return origins


RANK = order(interned())


def plain_state(state: State | None) -> Plain | None:
    if state is None:
        return None
    return {
        "siblings": [plain_sibling(sibling) for sibling in siblings_of(state)],
        "context": [{"origin": o, "n": n} for o, n in sorted(context_of(state).items())],
    }


def state_from(plain: Plain | None) -> State | None:
    if plain is None:
        return None
    siblings = tuple(sibling_from(sibling) for sibling in plain["siblings"])
    context = {item["origin"]: item["n"] for item in plain["context"]}
    return simplest(siblings, context)


def of_fingerprint(case: Plain) -> Plain:
    sibling = (0, 1, 0, case["version"], bytes.fromhex(case["value"]), 0)
    return {"fingerprint": fingerprint(case["key"], sibling).to_bytes(16, "big").hex()}


def of_digest(case: Plain) -> Plain:
    replica = Replica("till", 7)
    for entry in case["entries"]:
        state = state_from(entry)
        assert state is not None
        replica.replace([(entry["key"], state)])
    return {"digest": replica.digest.hex()}


def of_order(case: Plain) -> Plain:
    siblings = [sibling_from(sibling) for sibling in case["siblings"]]
    return {"sorted": [plain_sibling(sibling) for sibling in sorted(siblings, key=RANK)]}


def of_shown(case: Plain) -> Plain:
    siblings = tuple(sibling_from(sibling) for sibling in case["siblings"])
    return {"shown": [plain_sibling(sibling) for sibling in shown(siblings)]}


def of_merge(case: Plain) -> Plain:
    theirs = state_from(case["theirs"])
    assert theirs is not None
    had = {item["origin"]: dots_from(item) for item in case["had"]}
    merged, lost = merge(
        state_from(case["ours"]),
        theirs,
        had=lambda origin, n: n in had.get(origin, DotSet()),
        rank=RANK,
        policy=Policy.MANUAL if case["keeps_siblings"] else Policy.LAST_WRITE_WINS,
    )
    return {
        "merged": plain_state(merged),
        "lost": [plain_sibling(loser) for loser, _ in lost],
    }


def of_outlived(case: Plain) -> Plain:
    replica = Replica("office", 9)
    replica.origins = interned()
    ours, theirs = state_from(case["ours"]), state_from(case["theirs"])
    assert ours is not None
    assert theirs is not None
    replica.entries["k"] = ours
    rows = [theirs] if isinstance(theirs, tuple) else []
    states = [] if isinstance(theirs, tuple) else [theirs]
    told = {item["origin"]: dots_from(item) for item in case["told"]}
    found = outlived(replica, Arrivals([], ["k"], rows, states), told)
    return {"outlived": [{"origin": origin, "n": n} for _, origin, n in found]}


def of_write(case: Plain) -> Plain:
    node_id, incarnation = ORIGINS[0]
    replica = Replica(node_id, incarnation, LAST_WRITE_WINS)
    for origin in ORIGINS:
        replica.origins.number(origin)
    state = state_from(case["state"])
    if state is not None:
        replica.replace([("k", state)])
    replica.logs[0].extend(1, ["k"] * case["top"])
    replica.clock = case["clock"]
    asked = [("k", bytes.fromhex(case["value"]), 0)]
    writes, _ = decide_writes(replica, asked, wall_ms=case["wall_ms"])
    if writes is None:
        return {"written": None, "clock_after": case["clock"]}
    return {"written": plain_state(writes.states[0]), "clock_after": writes.clock}


def of_next_stamp(case: Plain) -> Plain:
    return {"stamp": next_stamp(case["clock"], case["wall_ms"])}


def of_observed(case: Plain) -> Plain:
    return {"clock_after": observed(case["clock"], case["stamp"], case["wall_ms"])}


def of_union(case: Plain) -> Plain:
    both = dots_from(case["a"])
    both.update(dots_from(case["b"]))
    return {"result": plain_dots(both)}


def of_difference(case: Plain) -> Plain:
    found = subtract(dots_from(case["a"]).ranges(), dots_from(case["b"]))
    return {"ranges": [list(each) for each in found]}


def of_intersection(case: Plain) -> Plain:
    return {"result": plain_dots(intersect(dots_from(case["a"]), dots_from(case["b"])))}


def of_contains(case: Plain) -> Plain:
    return {"result": contains(dots_from(case["a"]), dots_from(case["b"]))}


def of_history(case: Plain) -> Plain:
    incarnation = case["incarnation"]
    lives = joined(incarnation, lives_from(case["known"]), lives_from(case["told"]))
    return {"lives": plain_lives(lives), "history": plain_lives(history(incarnation, lives))}


def of_parting(case: Plain) -> Plain:
    incarnation = case["incarnation"]
    ours = history(incarnation, lives_from(case["ours"]))
    theirs = lives_from(case["theirs"]) or begun(incarnation)
    found = parting(ours, case["top"], theirs, case["their_top"])
    return {"parting": None if found is None else found._asdict()}


def of_split(case: Plain) -> Plain:
    """The name that splits off is origin 2."""
    state = state_from(case["state"])
    assert state is not None
    renaming = Renaming(0, case["after"], 0, 2, 2)
    return {"renamed": plain_state(renaming.state(state, RANK))}


RULES: Final[dict[str, dict[str, Callable[[Plain], Plain]]]] = {
    "digest": {"fingerprint": of_fingerprint, "digest": of_digest},
    "merge": {"order": of_order, "shown": of_shown, "merge": of_merge, "outlived": of_outlived},
    "writes": {"write": of_write, "next_stamp": of_next_stamp, "observed": of_observed},
    "have": {
        "union": of_union,
        "difference": of_difference,
        "intersection": of_intersection,
        "contains": of_contains,
    },
    "lives": {"history": of_history, "parting": of_parting, "split": of_split},
}
"""By file and rule: what computes the outcome of a case. The names of both never clash."""
