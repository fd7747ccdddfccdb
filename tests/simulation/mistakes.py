"""Mistakes of replication: those of the design's model, of collection, and of identity.

Each is the real code with one rule left out; the name is that of the model where it has one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from softadastra.runtime import recovery
from softadastra.runtime.settling import Settling
from softadastra.store import replica as replica_module
from softadastra.store.changes import Arrivals, Committed, Merged
from softadastra.store.digest import fingerprint
from softadastra.store.dots import DotSet
from softadastra.store.policies import Policy
from softadastra.store.replica import Replica
from softadastra.store.siblings import context_of, shown, siblings_of, simplest
from softadastra.store.siblings import merge as merge_states
from softadastra.store.splitting import Renaming
from softadastra.sync import batches, collection, reception
from softadastra.sync.collection import Collector
from softadastra.sync.engine import Engine
from softadastra.sync.messages import Batch, SnapshotBegin
from softadastra.sync.patience import Patience
from softadastra.sync.reception import Reception
from softadastra.sync.snapshots import Incoming, Snapshots

# Of the model.


def live_dots_only(patch: pytest.MonkeyPatch) -> None:
    original = Replica.evolve_arrivals

    def evolve_arrivals(self: Replica, arrivals: Arrivals, outlived: Any = ()) -> Merged:
        claimed = {
            (origin, first + i)
            for origin, first, runs in arrivals.claims
            for i in range(sum(run[0] for run in runs))
        }
        keys, count = arrivals.keys, len(arrivals.siblings)
        plain = [(k, s) for k, s in zip(keys, arrivals.siblings, strict=False) if s[:2] in claimed]
        states = [
            (k, state)
            for k, state in zip(keys[count:], arrivals.states, strict=True)
            if any(s[:2] in claimed for s in state.siblings)
        ]
        live = arrivals._replace(
            claims=[],
            keys=[k for k, _ in (*plain, *states)],
            siblings=[s for _, s in plain],
            states=[state for _, state in states],
        )
        merged = original(self, live, outlived)
        for claim in arrivals.claims:
            self._claim(claim, keys)
        self._vanish([key for key in keys if key not in self.entries])
        return merged

    patch.setattr(Replica, "evolve_arrivals", evolve_arrivals)


def drop_in_range(patch: pytest.MonkeyPatch) -> None:
    original = Incoming.expect

    def expect(self: Incoming, replica: Replica, *arguments: Any) -> None:
        original(self, replica, *arguments)
        replica.evolve_committed(Committed({}, self.drops(replica)))

    patch.setattr(Incoming, "expect", expect)


def forget_arrivals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Incoming, "arrived", lambda self, visitors: None)


def collect_while_serving(patch: pytest.MonkeyPatch) -> None:
    original = Snapshots.committed

    def committed(self: Snapshots, record: Committed) -> Any:
        serving = dict(self.serving)
        found = original(self, record)
        self.serving |= serving
        return found

    def decide_collection(self: Engine, now: Any) -> Any:
        is_time = self.membership.is_time_to_collect(now)
        return self.membership.decide_collection(now) if is_time else None

    patch.setattr(Snapshots, "committed", committed)
    patch.setattr(Engine, "decide_collection", decide_collection)


def keep_rows(patch: pytest.MonkeyPatch) -> None:
    original = Replica._vanish

    def vanish(self: Replica, keys: list[str]) -> None:
        logs, self.logs = self.logs, type(self.logs)(self.logs.default_factory)
        original(self, keys)
        self.logs = logs

    patch.setattr(Replica, "_vanish", vanish)


def blind_collection(patch: pytest.MonkeyPatch) -> None:
    def may_vanish(replica: Replica, state: Any, stable: Any, wall_ms: int) -> bool:
        return original(replica, type(state)(siblings_of(state), {}), stable, wall_ms)

    original = collection.may_vanish
    patch.setattr(
        collection,
        "may_vanish",
        lambda r, state, *rest: (may_vanish if context_of(state) else original)(r, state, *rest),
    )


def early_have(patch: pytest.MonkeyPatch) -> None:
    original = Snapshots.receive

    def receive(self: Snapshots, session: Any, message: Any, replica: Replica) -> Any:
        known = self.incoming.get(session.peer_id)
        taken = original(self, session, message, replica)
        incoming = self.incoming.get(session.peer_id)
        if isinstance(message, SnapshotBegin) and incoming is not None and incoming is not known:
            return Committed(dict(incoming.have), [], incoming.lives)
        return taken

    patch.setattr(Snapshots, "receive", receive)


def no_barrier(patch: pytest.MonkeyPatch) -> None:
    def decide(self: Collector, replica: Replica, active: Any, wall_ms: int) -> Any:
        rows = [self.known.get(node_id) for node_id in active]
        if not rows or any(row is None for row in rows):
            return None
        stable, _ = collection.barrier(replica, [row for row in rows if row is not None])
        return collection.collectable(replica, stable, wall_ms)

    patch.setattr(Collector, "decide", decide)


def collect_the_future(patch: pytest.MonkeyPatch) -> None:
    original = collection.may_vanish
    patch.setattr(
        collection,
        "may_vanish",
        lambda replica, state, stable, _: original(replica, state, stable, 1 << 60),
    )


def put_beats_remove(patch: pytest.MonkeyPatch) -> None:
    original = merge_states

    def merge(ours: Any, theirs: Any, *, rank: Any, policy: Policy, **named: Any) -> Any:
        by_time = policy is Policy.LAST_WRITE_WINS
        chosen: Any = (lambda s: (bool(s[4]), rank(s))) if by_time else rank
        return original(ours, theirs, rank=chosen, policy=policy, **named)

    patch.setattr(replica_module, "merge", merge)


# Of collection and conflicts.


def tombstone_collected_too_early(patch: pytest.MonkeyPatch) -> None:
    def barrier(replica: Replica, _rows: Any) -> Any:
        have = {number: DotSet(log.base, log.ranges_beyond()) for number, log in replica.haves()}
        return have, {}

    patch.setattr(collection, "barrier", barrier)


def wait_for_what_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(collection, "is_claimed", lambda needed, rows: True)


def hidden_values_count(patch: pytest.MonkeyPatch) -> None:
    def weigh(key: str, siblings: Any) -> tuple[int, int]:
        parts = (fingerprint(key, sibling) for sibling in siblings if sibling[4])
        return sum(parts), any(sibling[4] for sibling in shown(siblings))

    patch.setattr(replica_module, "weigh", weigh)


def nothing_outlived(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reception, "outlived", lambda replica, arrivals, told: [])


def outlived_by_what_was_told_since(patch: pytest.MonkeyPatch) -> None:
    original = Reception._decide_arrival

    def decide_arrival(self: Reception, session: Any, message: Any, payload: Any, now: Any) -> Any:
        if isinstance(message, Batch):
            message = replace(message, told=session.told_number)
        return original(self, session, message, payload, now)

    patch.setattr(Reception, "_decide_arrival", decide_arrival)


def acknowledged_counts_as_all(patch: pytest.MonkeyPatch) -> None:
    def hear(self: Reception, session: Any) -> None:
        if self._connections.is_carrying(session):
            self._membership.collector.hear(session.peer_id, session.known)

    patch.setattr(Reception, "_hear", hear)


def one_result_is_taken(patch: pytest.MonkeyPatch) -> None:
    original = Settling._write

    def write(self: Settling, conflict: Any, value: bytes) -> bool:
        return original(self, conflict._replace(policy=Policy.KEEP_LOCAL), value)

    patch.setattr(Settling, "_write", write)


def difference_not_mended(patch: pytest.MonkeyPatch) -> None:
    class Nothing(set[str]):
        def add(self, peer: str) -> None:
            pass

    original = Snapshots.__init__

    def init(self: Snapshots, nonce: int) -> None:
        original(self, nonce)
        self.unequal = Nothing()

    patch.setattr(Snapshots, "__init__", init)


def left_to_others_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Patience, "is_over", lambda self, origin, now_ms, owed_ms: False)


def sent_again_to_who_has_it(patch: pytest.MonkeyPatch) -> None:
    original = Reception._hear

    def hear(self: Reception, session: Any) -> None:
        original(self, session)
        session.sent.clear()
        session.served_at = None

    patch.setattr(Reception, "_hear", hear)


# Of identity.


def restored_log_keeps_its_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "decide_split", lambda self: None)


def restored_log_keeps_its_life(patch: pytest.MonkeyPatch) -> None:
    original = recovery.recover

    def recover(*arguments: Any, **named: Any) -> Any:
        recovered = original(*arguments, **named)
        recovered.engine.life = None
        return recovered

    patch.setattr("softadastra.testing.sim_life.recover", recover)


def contexts_not_renamed(patch: pytest.MonkeyPatch) -> None:
    original = Renaming.state

    def state(self: Renaming, before: Any, rank: Any) -> Any:
        after = original(self, before, rank)
        return simplest(siblings_of(after), dict(context_of(before)))

    patch.setattr(Renaming, "state", state)


def lives_not_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(batches, "lives_behind", lambda replica, numbers, known: [])


def copied_log_keeps_its_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("softadastra.testing.sim_life.settle_place", lambda *args, **named: None)
