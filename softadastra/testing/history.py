"""What was written to a cluster, and whether its nodes hold what they then must hold.

A write is *accepted* when its node answered, and of *unknown outcome* when the node died, or
timed out, before it did: that write may be there or not, and is never counted as lost.

What may stand for a key in the end follows from what is known for certain. A write supersedes
the earlier writes of its own node, and the write that its node held for the key before
it. Every other pair of writes counts as concurrent, so either of them may stand. A key is
right on a node when it holds a standing write, or nothing where a standing write removed it
or none is certain to have happened. All nodes must hold the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

from softadastra.store.values import unpack_value

__all__ = ["Outcome", "Verdict", "Violation", "ViolationKind", "Write", "WriteHistory", "judge"]

SHOWN_CHARACTERS = 60
"""Of a value, in the sentence that describes a violation: it fits a terminal's line."""


class Outcome(Enum):
    """What is known of a write."""

    ACCEPTED = 1
    """The node answered: the write is durable there."""
    UNKNOWN = 2
    """No answer came: it happened, or it did not."""


class Write(NamedTuple):
    """One put or remove. A named tuple, because a history holds hundreds of thousands."""

    node_id: str
    key: str
    packed: bytes | None
    """The packed value; None: a remove."""
    outcome: Outcome
    sync_id: str = ""
    """Of the write that the key then held: this one, or an earlier one of the same value. Empty
    for a remove, and for an unknown outcome."""
    replaced: str = ""
    """The `sync_id` of what the node held for the key before; empty when it held nothing."""


class WriteHistory:
    """Every write that was sent to the nodes of a cluster. Safe to use from any thread."""

    __slots__ = ("_accepted", "_lock", "_unknown", "_writes")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: dict[str, list[Write]] = {}
        self._accepted = 0
        self._unknown = 0

    def record(self, writes: Iterable[Write]) -> None:
        """Add writes. Those of one node must come in the order in which it made them."""
        with self._lock:
            for write in writes:
                self._writes.setdefault(write.key, []).append(write)
                if write.outcome is Outcome.ACCEPTED:
                    self._accepted += 1
                else:
                    self._unknown += 1

    @property
    def accepted_count(self) -> int:
        """Writes that were answered."""
        return self._accepted

    @property
    def unknown_count(self) -> int:
        """Writes that were never answered."""
        return self._unknown

    def by_key(self) -> dict[str, tuple[Write, ...]]:
        """Give the writes of each key, those of one node in order."""
        with self._lock:
            return {key: tuple(writes) for key, writes in self._writes.items()}


class ViolationKind(StrEnum):
    """What is wrong with a key on a node."""

    MISSING = "missing"
    """An accepted write is not there, and no remove may stand for the key."""
    STALE = "stale"
    """A value stands that was superseded for certain."""
    WRONG_VALUE = "wrong value"
    """The value was never written to this key."""
    INVENTED = "invented"
    """Nothing was ever written to this key."""
    UNEQUAL = "unequal"
    """Each node's value may stand, but they are not the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One key that is wrong on one node."""

    kind: ViolationKind
    node_id: str
    key: str
    held: bytes | None
    """The packed value there; None: absent."""
    expected: tuple[bytes | None, ...]
    """What may stand there, packed; None: absent. Empty when the key must not be there."""
    lost: tuple[Write, ...] = ()
    """The accepted writes that this violation loses."""

    def __str__(self) -> str:
        expected = " or ".join(map(_shown, self.expected)) or "no such key"
        return (
            f"{self.kind}: {self.node_id} has {_shown(self.held)} for {self.key!r}, "
            f"expected {expected}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a comparison of a history with the nodes' states found."""

    violations: tuple[Violation, ...]
    lost_count: int
    """Accepted writes that are on some node neither present nor superseded."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, stale, wrong, invented or unequal."""
        return not self.violations


def judge(history: WriteHistory, states: Mapping[str, Mapping[str, bytes]]) -> Verdict:
    """Compare what was written with all that the nodes hold, key by key.

    Call it when no write is under way and the nodes have exchanged everything.

    Args:
        history: every write since the nodes were empty.
        states: per node its live keys and their packed values.
    """
    written = history.by_key()
    violations: list[Violation] = []
    for key in dict.fromkeys([*written, *(key for state in states.values() for key in state)]):
        held = {node_id: state.get(key) for node_id, state in states.items()}
        violations += _judge_key(key, written.get(key, ()), held)
    lost = {write for violation in violations for write in violation.lost}
    return Verdict(violations=tuple(violations), lost_count=len(lost))


def _judge_key(
    key: str, writes: Sequence[Write], held: Mapping[str, bytes | None]
) -> list[Violation]:
    standing = _standing(writes)
    accepted = tuple(write for write in standing if write.outcome is Outcome.ACCEPTED)
    allowed = {write.packed for write in standing}
    if not accepted:
        allowed.add(None)
    if allowed.issuperset(held.values()):
        first, *others = held.items()
        return [
            Violation(
                kind=ViolationKind.UNEQUAL,
                node_id=node_id,
                key=key,
                held=value,
                expected=(first[1],),
            )
            for node_id, value in others
            if value != first[1]
        ]
    ever = {write.packed for write in writes}
    return [
        Violation(
            kind=_kind(value, ever),
            node_id=node_id,
            key=key,
            held=value,
            expected=tuple(dict.fromkeys(write.packed for write in standing)),
            lost=accepted,
        )
        for node_id, value in held.items()
        if value not in allowed
    ]


def _kind(value: bytes | None, ever: set[bytes | None]) -> ViolationKind:
    if not ever:
        return ViolationKind.INVENTED
    if value is None:
        return ViolationKind.MISSING
    return ViolationKind.STALE if value in ever else ViolationKind.WRONG_VALUE


def _standing(writes: Sequence[Write]) -> list[Write]:
    """Give the writes of one key that no accepted write is known to supersede."""
    replaced = {write.replaced for write in writes if write.replaced}
    settled: set[str] = set()
    standing: list[Write] = []
    for write in reversed(writes):
        if write.node_id in settled:
            continue
        if write.outcome is Outcome.ACCEPTED:
            settled.add(write.node_id)
        if write.sync_id not in replaced:
            standing.append(write)
    return standing


def _shown(packed: bytes | None) -> str:
    if packed is None:
        return "nothing"
    text = repr(unpack_value(packed))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
