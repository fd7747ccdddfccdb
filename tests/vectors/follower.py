"""A client written from docs/protocol.md alone: nothing of the package is imported here.

It follows a node and writes, and relays nothing. It holds all in memory, so each `Follower` is
another incarnation. When histories part it does what the document allows who cannot split them: it
begins anew.

Words are those of the document: a have is a list of inclusive ranges here, an origin a tuple of
node id and incarnation, a sibling (origin, n, stamp, version, value, flags).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import msgpack

from tests.vectors.follower_rules import (
    U64,
    Content,
    Lives,
    Origin,
    Parted,
    Ranges,
    Rejected,
    Sibling,
    Snapshot,
    State,
    Type,
    add,
    base_of,
    begun,
    covered,
    fingerprint,
    has_parted,
    have_of,
    includes,
    is_conflict,
    last_of,
    lives_of,
    packed,
    rank,
    shown,
    tops_of,
    wire_have,
    within,
)

CREDIT = 16
HAVES_MAX = 2**20
BATCH_WRITES = 64
RETRY_MS, PING_MS = 5_000, 2_000


class Follower:
    """The state of one client, and what it answers. No socket, no clock: time is an argument."""

    def __init__(
        self,
        node_id: str,
        *,
        cluster: str = "default",
        policies: str = "last_write_wins",
        randbits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self.origin: Origin = (node_id, randbits(64))
        self.cluster, self.policies = cluster, policies
        self.keeps_siblings: Callable[[str], bool] = lambda _key: policies != "last_write_wins"
        self.nonce = randbits(64)
        self.randbits = randbits
        self.entries: dict[str, State] = {}
        self.have: dict[Origin, Ranges] = {}
        self.named: dict[Origin, int] = {}
        """The highest number of each origin that came in a context."""
        self.lives: dict[Origin, Lives] = {}
        self.own: list[str] = []
        """The key of each own write, from 1."""
        self.clock = 0
        self.snapshot: Snapshot | None = None
        self.connected(0)

    def connected(self, now_ms: int) -> None:
        """Forget what belonged to a connection."""
        self.peer: Origin | None = None
        self.peer_have: dict[Origin, Ranges] = {}
        self.number = self.randbits(62)
        """Of the greeting: another one on each connection."""
        self.told = self.greeted_with = 0
        self.told_have: dict[Origin, Ranges] = {}
        self.has_diverged = False
        """Whether the node had the same writes and another state when it last told."""
        self.credit = 0
        self.heard_ms = self.asked_ms = now_ms
        self.flight: tuple[int, int] | None = None
        """The last own write in the batch that is not acknowledged, and when it is sent again."""
        self.batches = 0

    # What is asked of it here.

    def value(self, key: str) -> bytes | None:
        """The packed value that stands for a key."""
        siblings, _ = self.entries.get(key, ([], {}))
        return next((s[4] for s in reversed(shown(siblings)) if s[4]), None)

    def items(self) -> dict[str, Any]:
        found = {key: self.value(key) for key in self.entries}
        return {k: msgpack.unpackb(v, timestamp=3) for k, v in found.items() if v is not None}

    def put(self, key: str, value: Any, wall_ms: int) -> None:
        self.write(key, msgpack.packb(value), wall_ms)

    def write(self, key: str, value: bytes, wall_ms: int) -> None:
        """Write a packed value, or nothing for a remove (section 5)."""
        siblings, context = self.entries.get(key, ([], {}))
        if (self.value(key) or b"") == value and not is_conflict(siblings):
            return
        self.clock = max(self.clock + 1, wall_ms << 16)
        superseded = dict(context)
        for origin, n, *_ in siblings:
            superseded[origin] = max(n, superseded.get(origin, 0))
        superseded.pop(self.origin, None)
        is_own = len(siblings) == 1 and siblings[0][0] == self.origin and not context
        least = max([s[2] for s in siblings], default=0) + (0 if is_own else 1)
        stamp = max(self.clock, min(least, U64))
        version = min(max([s[3] for s in siblings], default=0) + 1, U64)
        self.own.append(key)
        n = len(self.own)
        self.entries[key] = ([(self.origin, n, stamp, version, value, 0)], superseded)
        self.have[self.origin] = [(1, n)]

    def digest(self) -> bytes:
        total = sum(
            fingerprint(key, s[3], s[4])
            for key, (siblings, _) in self.entries.items()
            for s in siblings
            if s[4]
        )
        return (total % 2**128).to_bytes(16, "big")

    # What it says.

    def hello(self, wall_ms: int) -> bytes:
        resume = None
        if self.snapshot is not None:
            if self.snapshot.finished is not None and not self.snapshot.is_complete:
                resume = [self.snapshot.number, self.snapshot.finished]
            else:
                self.snapshot = None
        told = [
            [at, *(n for life in self.history(origin)[-2:] for n in life)]
            for at, origin in enumerate(dict.fromkeys([*self.have, *self.named]))
            if self.lives.get(origin)
        ]
        return packed(
            Type.HELLO, [1, 1], [], self.cluster, *self.origin, self.nonce, wall_ms, self.policies,
            wire_have(self.have, self.named), told, self.digest(), CREDIT, [], resume,
            self.number,
        )  # fmt: skip

    def history(self, origin: Origin) -> Lives:
        """The beginning and all lives of an origin."""
        lives = self.lives.get(origin, [])
        is_first_unused = bool(lives) and lives[0][0] == 1
        return begun(origin)[: 1 if is_first_unused else 2] + lives

    def due(self, now_ms: int) -> list[bytes]:
        """What is to be said now, unasked."""
        messages = []
        if self.peer is not None and now_ms - max(self.heard_ms, self.asked_ms) >= PING_MS:
            self.asked_ms = now_ms
            messages.append(packed(Type.PING, now_ms))
        confirmed = self.confirmed()
        if self.flight is not None and (confirmed >= self.flight[0] or now_ms >= self.flight[1]):
            self.flight = None
        if self.peer is not None and self.flight is None and confirmed < len(self.own):
            messages.append(self.batch(confirmed + 1, now_ms))
        return messages

    def confirmed(self) -> int:
        """Own writes up to this one are at the node, without a gap."""
        return base_of(self.peer_have.get(self.origin, []))

    def batch(self, first: int, now_ms: int) -> bytes:
        """Own writes from `first` on, with the current states of their keys."""
        claimed = self.own[first - 1 : first - 1 + BATCH_WRITES]
        keys = list(dict.fromkeys(claimed))
        origins: dict[Origin, int] = {self.origin: 0}
        states = []
        for key in keys:
            siblings, context = self.entries[key]
            flat = [x for o, n in context.items() for x in (origins.setdefault(o, len(origins)), n)]
            rows = [[origins.setdefault(s[0], len(origins)), *s[1:]] for s in siblings]
            states.append([rows, flat])
        runs = [x for key in claimed for x in (1, keys.index(key), 0)]
        told = [
            [at, *(n for life in self.lives_behind(origin) for n in life)]
            for origin, at in origins.items()
            if self.lives.get(origin)
        ]
        self.batches += 1
        self.flight = (first + len(claimed) - 1, now_ms + RETRY_MS)
        return packed(
            Type.BATCH, self.batches, self.number, list(origins), told, [[0, first, runs]], keys,
            [], [], 0, [], [], [], [], states,
        )  # fmt: skip

    def lives_behind(self, origin: Origin) -> Lives:
        """The lives that the node may not know, at least the last one."""
        lives, base = self.lives[origin], base_of(self.peer_have.get(origin, []))
        return [life for life in lives if life[0] > base] or lives[-1:]

    # What is said to it.

    def receive(self, payload: bytes, now_ms: int, wall_ms: int) -> list[bytes]:
        """Take a message in; give the answers.

        Raises:
            Rejected: the node refuses this client.
            Parted: a history here is not the node's.
            EOFError: the node closes.
        """
        self.heard_ms = now_ms
        protocol, kind, *body = msgpack.unpackb(payload)
        assert protocol == 1
        match kind:
            case Type.HELLO:
                self.peer = (body[3], body[4])
                self.credit = body[11]
                self.greeted_with = self.told = body[14]
                self.hear_have(body[14], body[8], body[9], body[10])
            case Type.REJECT:
                raise Rejected(*body)
            case Type.BATCH:
                return self.take(Content(body), wall_ms)
            case Type.ACK:
                self.peer_have |= have_of(body[1])
                self.credit = body[2]
            case Type.HAVE:
                self.hear_have(body[0], body[1], body[2], body[3])
            case Type.SNAPSHOT_BEGIN:
                return self.begin(body)
            case Type.SNAPSHOT_RANGE:
                return self.take_range(body, wall_ms)
            case Type.SNAPSHOT_COMMIT:
                return self.commit(body)
            case Type.PING:
                return [packed(Type.PONG, body[0])]
            case Type.BYE:
                raise EOFError
            case _:
                raise AssertionError(f"a message of type {kind}")
        return []

    def hear_have(self, number: int, wire: list[Any], lives: list[Any], digest: bytes) -> None:
        """Take what the node has; see whether histories have parted."""
        tops = tops_of(wire)
        have = {origin: ranges for origin, ranges in have_of(wire).items() if ranges}
        self.compare_all(tops, lives_of(lives, list(tops)))
        assert self.peer is not None
        for origin, ranges in self.have.items():
            # What a node has lost of its own writes, somebody else has to give it back.
            if origin[0] == self.peer[0] and not includes(have.get(origin, []), ranges):
                raise Parted(origin)
        self.told, self.told_have, self.peer_have = number, have, dict(have)
        self.has_diverged = have == self.have and digest != self.digest()

    def is_late(self, told: int) -> bool:
        """Whether a batch was made before what the node told last, or for another connection."""
        return not self.told <= told <= self.greeted_with + HAVES_MAX

    def compare_all(self, tops: dict[Origin, int], told: dict[Origin, Lives]) -> None:
        for origin, their_top in tops.items():
            theirs = told.get(origin, begun(origin))
            self.compare(origin, theirs, their_top)
            if any(self.reach((origin[0], life)) for _, life in theirs if life != origin[1]):
                raise Parted(origin)
        for origin, ours in self.lives.items():
            if any((origin[0], life) in tops for _, life in ours):
                raise Parted(origin)

    def reach(self, origin: Origin) -> int:
        """Up to which number the history of an origin is known here."""
        return max(last_of(self.have.get(origin, [])), self.named.get(origin, 0))

    def compare(self, origin: Origin, theirs: Lives, their_top: int) -> None:
        if origin == self.origin and their_top > len(self.own):
            raise Parted(origin)
        top = self.reach(origin)
        if top and has_parted(self.history(origin), top, theirs, their_top):
            raise Parted(origin)

    def learn_lives(self, told: dict[Origin, Lives], top_of: Callable[[Origin], int]) -> None:
        for origin, lives in told.items():
            reached = [life for life in lives if life[0] <= top_of(origin)]
            known = {*self.lives.get(origin, []), *reached}.difference(begun(origin))
            self.lives[origin] = sorted(known)

    def take(self, content: Content, wall_ms: int) -> list[bytes]:
        """Merge a batch and acknowledge it."""
        for origin in content.origins:
            if origin in content.lives or self.lives.get(origin):
                theirs = content.lives.get(origin, begun(origin))
                self.compare(origin, theirs, max(theirs[-1][0], content.top(origin)))
        if content.top(self.origin) > len(self.own):
            raise Parted(self.origin)
        self.learn_lives(content.lives, content.top)
        for origin, n in content.named.items():
            self.named[origin] = max(n, self.named.get(origin, 0))
        if self.snapshot is not None:
            for key, (siblings, _) in content.entries.items():
                self.visit(self.snapshot, key, siblings)
        merged = {
            key: self.merged(key, theirs, is_late=self.is_late(content.told))
            for key, theirs in content.entries.items()
        }
        for key, state in merged.items():
            if state[0]:
                self.entries[key] = state
            else:
                self.entries.pop(key, None)
        stamps = [s[2] for siblings, _ in content.entries.values() for s in siblings]
        limit = (wall_ms + 60_000) << 16
        self.clock = max(self.clock, min(max(stamps, default=0), limit))
        for origin, ranges in content.dots.items():
            for first, last in ranges:
                self.have[origin] = add(self.have.get(origin, []), first, last)
                self.peer_have[origin] = add(self.peer_have.get(origin, []), first, last)
        return [self.ack(content.id, content.dots)]

    def ack(self, batch_id: int, origins: Iterable[Origin]) -> bytes:
        have = {origin: self.have[origin] for origin in origins}
        return packed(Type.ACK, [batch_id], wire_have(have), CREDIT)

    def merged(self, key: str, theirs: State, *, is_late: bool) -> State:
        """Merge the node's state of a key with the one here (section 5)."""
        ours = self.entries.get(key, ([], {}))
        siblings, context = theirs
        their_dots = {s[:2] for s in siblings}
        our_dots = {s[:2] for s in ours[0]}
        outlived = {
            s[:2] for s in ours[0] if not is_late and within(s[1], self.told_have.get(s[0], []))
        }
        kept = [
            s
            for s in ours[0]
            if s[:2] in their_dots or not (covered(theirs, s[0], s[1]) or s[:2] in outlived)
        ]
        kept += [
            s
            for s in siblings
            if s[:2] not in our_dots
            and not covered(ours, s[0], s[1])
            and not within(s[1], self.have.get(s[0], []))
        ]
        joined = dict(ours[1])
        for origin, n in [*context.items(), *(outlived - their_dots)]:
            joined[origin] = max(n, joined.get(origin, 0))
        kept.sort(key=rank)
        if not self.keeps_siblings(key):
            for origin, n, *_ in kept[:-1]:
                joined[origin] = max(n, joined.get(origin, 0))
            kept = kept[-1:]
        newest = {s[0]: s[1] for s in sorted(kept, key=lambda s: s[1])}
        return kept, {o: n for o, n in joined.items() if newest.get(o, 0) <= n}

    # Snapshots.

    def begin(self, body: list[Any]) -> list[bytes]:
        number, message_id, wire, lives = body
        if self.snapshot is None or self.snapshot.number != number:
            have = have_of(wire)
            self.compare_all(tops_of(wire), lives_of(lives, list(have)))
            self.snapshot = Snapshot(number, have, lives_of(lives, list(have)))
        return [self.ack(message_id, [])]

    def visit(self, snapshot: Snapshot, key: str, siblings: list[Sibling]) -> None:
        """What comes beside the snapshot for a finished range may be what its commit drops."""
        for origin, n, *_ in siblings if snapshot.is_finished(key) else []:
            is_new = not within(n, self.have.get(origin, []))
            if is_new and within(n, snapshot.have.get(origin, [])):
                snapshot.candidates.add((key, origin, n))

    def take_range(self, body: list[Any], wall_ms: int) -> list[bytes]:
        number, after, last, is_end, *rest = body
        content = Content(rest)
        snapshot = self.snapshot
        if snapshot is None or snapshot.number != number:
            return []
        if snapshot.is_complete or after != snapshot.finished:
            return [self.ack(content.id, [])] if snapshot.is_finished(last) else []
        for key, (siblings, _) in self.entries.items():
            is_behind = after is None or key.encode() > after.encode()
            if is_behind and (is_end or key.encode() <= last.encode()):
                brought = {s[:2] for s in content.entries.get(key, ([], {}))[0]}
                for origin, n, *_ in siblings:
                    if within(n, snapshot.have.get(origin, [])) and (origin, n) not in brought:
                        snapshot.candidates.add((key, origin, n))
        self.snapshot = None  # what the range itself brings makes no candidates
        answers = self.take(content, wall_ms)
        self.snapshot = snapshot
        snapshot.finished, snapshot.is_complete = last, is_end
        return answers

    def commit(self, body: list[Any]) -> list[bytes]:
        number, message_id = body
        snapshot = self.snapshot
        if snapshot is None:
            return [self.ack(message_id, [])]
        if snapshot.number != number or not snapshot.is_complete:
            return []
        # Since it began, writes of another history may have come from elsewhere.
        tops = {origin: last_of(ranges) for origin, ranges in snapshot.have.items()}
        self.compare_all(tops, snapshot.lives)
        for key, origin, n in snapshot.candidates:
            siblings, context = self.entries.get(key, ([], {}))
            kept = [s for s in siblings if s[:2] != (origin, n)]
            if kept:
                self.entries[key] = (kept, context)
            else:
                self.entries.pop(key, None)
        self.learn_lives(snapshot.lives, lambda origin: tops.get(origin, 0))
        for origin, ranges in snapshot.have.items():
            for first, last in ranges:
                self.have[origin] = add(self.have.get(origin, []), first, last)
        self.snapshot = None
        return [self.ack(message_id, snapshot.have)]
