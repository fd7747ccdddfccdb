"""Mistakes in the real code, each with a seed whose run shows it and the checker that sees it.

`python -m tests.simulation.mutants 200 no_dedupe` looks for seeds again, after a change that shifts
chance, and prints rows to be put in here; without a name, for all but the rare ones. It takes one
process for each core that it is given.
A mutant that no seed catches is a hole in the simulator, or a rule that the code does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from softadastra.runtime import commit as commit_module
from softadastra.runtime import recovery
from softadastra.runtime.commit import Committer
from softadastra.runtime.driver import Driver
from softadastra.runtime.watcher import Watcher
from softadastra.store import replica as replica_module
from softadastra.store import writes as writes_module
from softadastra.store.changes import OWN, Arrivals, Merged
from softadastra.store.dots import DotSet
from softadastra.store.index import OriginLog
from softadastra.store.policies import Policy
from softadastra.store.positions import Moment
from softadastra.store.replica import Replica
from softadastra.store.siblings import siblings_of
from softadastra.sync import outbox as outbox_module
from softadastra.sync.batches import Loader
from softadastra.sync.delivery import Delivery
from softadastra.sync.engine import Engine
from softadastra.sync.reception import Reception
from softadastra.sync.session import Session
from softadastra.testing.checkers import BrokenPromiseError
from softadastra.wal import recovery as log_recovery
from softadastra.wal.frames import FRAME_TRAILER
from softadastra.wal.log import WriteAheadLog
from tests.store import test_replica
from tests.sync import test_collection, test_identity, test_policies

from . import mistakes, test_sim_cluster
from .run import run
from .workers import worker_pool

__all__ = ["MUTANTS", "Mutant"]

Patch = Callable[[pytest.MonkeyPatch], None]


class Mutant(NamedTuple):
    """A mistake."""

    words: str
    checker: str
    seed: int
    patch: Patch

    @property
    def name(self) -> str:
        return self.patch.__name__


def acknowledge_before_sync(patch: pytest.MonkeyPatch) -> None:
    def commit(self: Committer, records: Any) -> None:
        with self.lock:
            self._commit_at_once((), records)
            self._is_dirty = False

    patch.setattr(Committer, "commit", commit)


def send_before_own_sync(patch: pytest.MonkeyPatch) -> None:
    original = Driver.push

    def push(self: Driver, push: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Committer, "sync", lambda self: None)
            return original(self, push)

    patch.setattr(Driver, "push", push)


def return_before_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Committer, "_sync", lambda self, log: None)


def trust_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    original = WriteAheadLog._sync_file

    def sync_file(self: WriteAheadLog) -> None:
        try:
            original(self)
        except OSError:
            self._state = type(self._state).READY

    patch.setattr(WriteAheadLog, "_sync_file", sync_file)


def leave_a_partial_frame(patch: pytest.MonkeyPatch) -> None:
    def cut_off(self: WriteAheadLog) -> None:
        self._end = (self._file.size(), *self._end[1:])

    patch.setattr(WriteAheadLog, "_cut_off", cut_off)


def trust_the_page_cache(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("softadastra.wal.log.rewrite", lambda file, start, stop: None)


def crc_ignored(patch: pytest.MonkeyPatch) -> None:
    class Right:
        """Every checksum is what it should be."""

        __hash__ = None  # type: ignore[assignment]  # it is equal to all

        def __eq__(self, other: object) -> bool:
            return True

    class Trailer:
        size = FRAME_TRAILER.size

        def unpack_from(self, data: bytes, offset: int) -> tuple[object]:
            return (Right(),)

    patch.setattr(log_recovery, "FRAME_TRAILER", Trailer())


def sibling_dots_not_added(patch: pytest.MonkeyPatch) -> None:
    original = Replica.evolve_arrivals

    def evolve_arrivals(self: Replica, arrivals: Arrivals, outlived: Any = ()) -> Merged:
        claimed = {
            (origin, first + i)
            for origin, first, runs in arrivals.claims
            for i in range(sum(run[0] for run in runs))
        }
        siblings = [*arrivals.siblings, *(s for state in arrivals.states for s in state.siblings)]
        news = {s[:2] for s in siblings if s[1] not in self.logs[s[0]]} - claimed
        merged = original(self, arrivals, outlived)
        for origin, n in sorted(news, reverse=True):
            log = self.logs[origin]
            if log.beyond.pop(n, None) is None and n == log.base:
                log._rows.pop()
        return merged

    patch.setattr(Replica, "evolve_arrivals", evolve_arrivals)


def superseded_dots_left_out(patch: pytest.MonkeyPatch) -> None:
    original = Loader.load

    def load(self: Loader, origin: int, first: int, last: int) -> None:
        log = self.replica.logs[origin]
        for n in range(first, last + 1):
            state = self.replica.entries.get(log.key(n) or "")
            if any(s[:2] == (origin, n) for s in siblings_of(state)):
                original(self, origin, n, n)

    patch.setattr(Loader, "load", load)


def tie_broken_by_the_local_node(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        replica_module, "order", lambda origins: lambda s: (s[2], s[0] == OWN, s[0], s[1])
    )


def no_dedupe(patch: pytest.MonkeyPatch) -> None:
    original = OriginLog.add

    def add(self: OriginLog, n: int, key: str) -> None:
        if n <= self.base:
            self._rows.append(key)
        else:
            original(self, n, key)

    patch.setattr(OriginLog, "add", add)


def number_used_again_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    original = recovery.recover

    def recover(*arguments: Any, **named: Any) -> Any:
        recovered = original(*arguments, **named)
        if recovered.engine.replica.top:
            recovered.engine.replica.logs[OWN]._rows.pop()
        return recovered

    patch.setattr("softadastra.testing.sim_life.recover", recover)


def stale_peer_state_trusted(patch: pytest.MonkeyPatch) -> None:
    original = Reception._learn

    def learn(self: Reception, session: Session, have: Any) -> None:
        believed = self.__dict__.setdefault("believed", {}).setdefault(session.peer_id, {})
        for origin, dots in have.items():
            believed.setdefault(origin, DotSet()).update(dots)
        original(self, session, {o: d.copy() for o, d in believed.items()})

    patch.setattr(Reception, "_learn", learn)


def retry_gives_up(patch: pytest.MonkeyPatch) -> None:
    original = Delivery.next_batch

    def next_batch(self: Delivery, session: Session, now: Any) -> Any:
        return None if session.peer_id in self.faulted else original(self, session, now)

    patch.setattr(Delivery, "recovered", lambda self, peer: None)
    patch.setattr(Delivery, "next_batch", next_batch)


def nothing_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    original = Delivery.overdue

    def overdue(self: Delivery, session: Session, now: Any) -> Any:
        original(self, session, now)
        return []

    patch.setattr(Delivery, "overdue", overdue)


def context_forgotten(patch: pytest.MonkeyPatch) -> None:
    original = writes_module.held
    patch.setattr(writes_module, "held", lambda r, key: original(r, key)._replace(context={}))


def stamp_below_what_was_seen(patch: pytest.MonkeyPatch) -> None:
    original = writes_module.held
    patch.setattr(writes_module, "next_stamp", lambda last, wall_ms: wall_ms << 16)
    patch.setattr(writes_module, "held", lambda r, key: original(r, key)._replace(stamp_min=0))


def due_though_the_window_is_full(patch: pytest.MonkeyPatch) -> None:
    original = Engine.deadline

    def deadline(self: Engine, push: Any) -> int | None:
        kept, self._pushed_ms = self._pushed_ms, -1
        try:
            return original(self, push)
        finally:
            self._pushed_ms = kept

    patch.setattr(Engine, "deadline", deadline)


def relay_never(patch: pytest.MonkeyPatch) -> None:
    original = Delivery._wanted

    def wanted(self: Delivery, session: Session, lacked: Any, now: Any) -> Iterator[Any]:
        return (found for found in original(self, session, lacked, now) if found[0] == OWN)

    patch.setattr(Delivery, "_wanted", wanted)


def window_ignored(patch: pytest.MonkeyPatch) -> None:
    original = Delivery.next_batch

    def next_batch(self: Delivery, session: Session, now: Any) -> Any:
        flights, session.flights = session.flights, {}
        try:
            return original(self, session, now)
        finally:
            session.flights = flights | session.flights

    patch.setattr(Delivery, "next_batch", next_batch)


def in_flight_counted_twice(patch: pytest.MonkeyPatch) -> None:
    original = outbox_module.count

    def count(**named: Any) -> Any:
        counts = original(**named)
        return counts._replace(queued=counts.queued + counts.in_flight)

    patch.setattr("softadastra.sync.status.count", count)


def ping_without_end(patch: pytest.MonkeyPatch) -> None:
    original = Engine.deadline

    def deadline(self: Engine, push: Any) -> int | None:
        first = original(self, push)
        waits = [s.heard_ms + 2_000 for s in self.connections.sessions.values() if s.is_active]
        return min([*waits, *([] if first is None else [first])], default=None)

    patch.setattr(Engine, "deadline", deadline)


def disk_error_ignored(patch: pytest.MonkeyPatch) -> None:
    original = commit_module.Committer._append

    def append(self: Committer, log: Any, records: Any) -> None:
        try:
            original(self, log, records)
        except OSError:
            return

    patch.setattr(Committer, "_append", append)


RARE = [
    (
        "what was lost with a disk is waited for",
        mistakes.wait_for_what_is_lost,
        test_sim_cluster.test_a_write_that_was_told_of_and_lost_with_its_disk_holds_back_no_collection,
    ),
    (
        "values that a remove has settled count in the digest",
        mistakes.hidden_values_count,
        test_replica.test_values_that_a_remove_has_settled_leave_the_digest_before_they_are_collected_with_it,
    ),
    (
        "unequal digests begin nothing",
        mistakes.difference_not_mended,
        test_collection.test_nodes_that_differ_with_an_equal_have_mend_it,
    ),
    (
        "a batch supersedes only what it names",
        mistakes.nothing_outlived,
        partial(
            test_policies.test_a_write_over_a_collected_tombstone_is_no_conflict_where_the_tombstone_is_still_held,
            policy=Policy.MANUAL,
            relay=False,
        ),
    ),
    (
        "a branch is renamed, and contexts are not",
        mistakes.contexts_not_renamed,
        partial(test_identity.test_random_restores_lose_nothing, 0),
    ),
]
"""Mistakes that none of 60 to 150 seeds showed, and a test that does: words, mistake, test."""


def one_place_a_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Moment, "has", lambda self: had_of(self._replace(told=())))


def silent_overflow(patch: pytest.MonkeyPatch) -> None:
    def fall_back(self: Watcher) -> None:
        self._is_full = False
        self._back = None
        self.is_queueing = True

    patch.setattr(Watcher, "_fall_back", fall_back)


had_of = Moment.has


MUTANTS = [
    # Of the model.
    Mutant("live-dots-only", "keeping", 3, mistakes.live_dots_only),
    Mutant("collect-while-serving", "progress", 2059, mistakes.collect_while_serving),
    Mutant("early-have", "convergence", 4, mistakes.early_have),
    Mutant("put-beats-remove", "keeping", 8, mistakes.put_beats_remove),
    Mutant("drop-in-range", "convergence", 44, mistakes.drop_in_range),
    Mutant("forget-arrivals", "convergence", 66, mistakes.forget_arrivals),
    Mutant("keep-rows", "crash", 20, mistakes.keep_rows),
    Mutant("blind-collection", "resurrection", 40, mistakes.blind_collection),
    Mutant("no-barrier", "convergence", 8, mistakes.no_barrier),
    Mutant("collect-the-future", "keeping", 0, mistakes.collect_the_future),
    # Of collection and conflicts.
    Mutant(
        "a tombstone goes when this node alone has it",
        "convergence",
        8,
        mistakes.tombstone_collected_too_early,
    ),
    Mutant(
        "what is acknowledged counts as all that a peer has",
        "convergence",
        8,
        mistakes.acknowledged_counts_as_all,
    ),
    Mutant(
        "of two results of a function one is taken", "merging", 95, mistakes.one_result_is_taken
    ),
    Mutant(
        "a late batch counts as one made after all that was told",
        "convergence",
        8,
        mistakes.outlived_by_what_was_told_since,
    ),
    Mutant("a write goes to who has it", "silence", 0, mistakes.sent_again_to_who_has_it),
    # Of identity.
    Mutant("a restored log keeps its name", "progress", 34, mistakes.restored_log_keeps_its_name),
    Mutant("a restored log keeps its life", "dots", 97, mistakes.restored_log_keeps_its_life),
    Mutant("lives are not sent", "invention", 2, mistakes.lives_not_sent),
    Mutant("a copied log keeps its name", "durability", 1848, mistakes.copied_log_keeps_its_name),
    # Of the disk, of delivery and of numbers.
    Mutant("an ACK leaves before its batch is synced", "durability", 0, acknowledge_before_sync),
    Mutant("a batch leaves before its own record is synced", "durability", 6, send_before_own_sync),
    Mutant("a put returns before its sync", "durability", 0, return_before_sync),
    Mutant("after a failed sync the node goes on", "durability", 5, trust_a_failed_sync),
    Mutant("a partial frame stays in front of the next", "durability", 30, leave_a_partial_frame),
    Mutant("what is read back after a failed sync counts", "durability", 25, trust_the_page_cache),
    Mutant("a wrong CRC is ignored", "damage", 5, crc_ignored),
    Mutant(
        "a write that the disk refused is done all the same", "durability", 30, disk_error_ignored
    ),
    Mutant("the dots of siblings are not added to have", "keeping", 57, sibling_dots_not_added),
    Mutant("superseded dots are never claimed", "progress", 1, superseded_dots_left_out),
    Mutant(
        "equal stamps are settled by who is asked", "convergence", 1, tie_broken_by_the_local_node
    ),
    Mutant("a write that is here already is added again", "durability", 0, no_dedupe),
    Mutant("a number is given again", "durability", 1, number_used_again_after_a_restart),
    Mutant("a peer that lost data is not believed", "progress", 6, stale_peer_state_trusted),
    Mutant("a faulted peer stays faulted", "progress", 17, retry_gives_up),
    Mutant("an overdue batch is not sent again", "progress", 149, nothing_is_sent_again),
    Mutant("a local write forgets what it saw", "overwriting", 1, context_forgotten),
    Mutant("a stamp is below what its writer saw", "keeping", 49, stamp_below_what_was_seen),
    Mutant("others' writes are not relayed", "progress", 2, relay_never),
    Mutant(
        "what is left to others is never relayed", "progress", 6, mistakes.left_to_others_for_ever
    ),
    Mutant("the window is ignored", "bounds", 0, window_ignored),
    Mutant("the outbox does not add up", "outbox", 0, in_flight_counted_twice),
    Mutant("a silent peer is asked without end", "idleness", 0, ping_without_end),
    Mutant("what cannot leave is due all the same", "idleness", 0, due_though_the_window_is_full),
    Mutant("all changes of a batch have one place", "watching", 1, one_place_a_batch),
    Mutant("a reader falls behind in silence", "watching", 1, silent_overflow),
]


def search(seeds: range, names: list[str]) -> None:
    """Print the row of each mutant with the first seed that shows it, and what that seed says."""
    mutants = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    rare = [Mutant(words, "", 0, patch) for words, patch, _ in RARE if patch.__name__ in names]
    with worker_pool() as pool:
        found = pool.map(partial(caught_by, seeds=seeds), [*mutants, *rare])
        for mutant, (seed, checker, words) in zip([*mutants, *rare], found, strict=True):
            if seed is None:
                print(f"# {mutant.name}: {words}", flush=True)
                continue
            where = "" if mutant.patch.__module__ == __name__ else "mistakes."
            row = f'    Mutant("{mutant.words}", "{checker}", {seed}, {where}{mutant.name}),'
            print(f"{row}  # {words}", flush=True)


def caught_by(mutant: Mutant, seeds: range) -> tuple[int | None, str, str]:
    """Give the first seed that shows a mutant, the checker that sees it, and its words."""
    with pytest.MonkeyPatch.context() as patch:
        mutant.patch(patch)
        for seed in seeds:
            try:
                run(seed)
            except BrokenPromiseError as failure:
                return seed, failure.checker, str(failure)
            except Exception as error:  # of any kind: the search goes on
                return seed, "", f"raised {error!r}"
    return None, "", f"NOT caught by {len(seeds)} seeds"


if __name__ == "__main__":
    search(range(int(sys.argv[1]) if len(sys.argv) > 1 else 60), sys.argv[2:])
