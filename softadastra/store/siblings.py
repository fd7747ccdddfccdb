"""The state of one key: its siblings and its context, the total order, the merge rule.

A *sibling* is a write that no known write supersedes; normally a key has one. The
*context* names the writes of the key that are known to be superseded: per origin a number
up to which its writes of this key are. An origin's own older writes of the key are
superseded without saying so, so a key with a single writer has an empty context.

A sibling is a plain tuple, and a key with one sibling and no context is that tuple itself,
with nothing around it: a tuple of plain values leaves the garbage collector's care at its
first pass (a named tuple does not), and a batch's columns become siblings by one `zip`.
Measured with 1,000,000 keys: 3 times less collector work, and 40 bytes a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from softadastra.store.origins import Origin, Origins
from softadastra.store.policies import Policy

__all__ = [
    "RESOLUTION",
    "TOMBSTONE",
    "Context",
    "KeyState",
    "Sibling",
    "State",
    "context_of",
    "covers",
    "merge",
    "order",
    "shown",
    "siblings_of",
    "simplest",
    "standing",
    "widened",
]

Sibling: TypeAlias = tuple[int, int, int, int, bytes, int]
"""(origin number, n, stamp, version, packed value, flags)."""

RESOLUTION: Final = 1
"""The flag of a write that settles a conflict. Of several the greatest is shown; see `shown`."""

SETTLED_BY_PEOPLE: Final = (Policy.MANUAL, Policy.MERGE)
"""Where a resolution is what somebody has decided, and not one of the values that were there."""

Context: TypeAlias = Mapping[int, int]
"""Origin number -> its writes of this key up to n are superseded."""

TOMBSTONE: Final = b""
"""The value of a remove: no MessagePack object is empty."""

NOTHING: Final[Context] = {}


class KeyState:
    """A key with a context, or with more than one sibling. Immutable once made."""

    __slots__ = ("context", "siblings")

    def __init__(self, siblings: tuple[Sibling, ...], context: Context) -> None:
        self.siblings = siblings
        self.context = context

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeyState):
            return NotImplemented
        return self.siblings == other.siblings and self.context == other.context

    def __hash__(self) -> int:
        return hash(self.siblings)

    def __repr__(self) -> str:
        return f"KeyState({self.siblings}, {dict(self.context)})"


State: TypeAlias = Sibling | KeyState


def siblings_of(state: State | None) -> tuple[Sibling, ...]:
    """Give the siblings of a state; none for a key that was never met."""
    if state is None:
        return ()
    return state.siblings if isinstance(state, KeyState) else (state,)


def context_of(state: State | None) -> Context:
    """Give the context of a state."""
    return state.context if isinstance(state, KeyState) else NOTHING


def simplest(siblings: tuple[Sibling, ...], context: Context) -> State:
    """Give the smallest form of a state: what the siblings say themselves leaves the context."""
    if context:
        newest = {origin: n for origin, n, *_ in sorted(siblings)}
        context = {o: n for o, n in context.items() if newest.get(o, 0) <= n}
    return siblings[0] if len(siblings) == 1 and not context else KeyState(siblings, context)


def widened(state: State, context: Context | None) -> State:
    """Give a state that knows more to be superseded."""
    if not context:
        return state
    joined = dict(context_of(state))
    for origin, n in context.items():
        joined[origin] = max(n, joined.get(origin, 0))
    return KeyState(siblings_of(state), joined)


def covers(siblings: tuple[Sibling, ...], context: Context, origin: int, n: int) -> bool:
    """Whether a state knows the write (origin, n) of its key to be superseded."""
    if context.get(origin, 0) >= n:
        return True
    return any(s[0] == origin and s[1] > n for s in siblings)


def order(origins: Origins) -> Callable[[Sibling], tuple[int, Origin, int]]:
    """Give the sort key of the total order (stamp, node id, incarnation, n).

    It is the same on every node. (Comparing with the local node's id instead, on equal
    stamps, makes three nodes keep different winners for good.)
    """
    return lambda sibling: (sibling[2], origins[sibling[0]], sibling[1])


def merge(
    ours: State | None,
    theirs: State,
    *,
    had: Callable[[int, int], bool],
    rank: Callable[[Sibling], tuple[int, Origin, int]],
    policy: Policy,
) -> tuple[State | None, list[tuple[Sibling, Sibling]]]:
    """Merge another replica's state of a key into ours.

    A sibling stays when the other side has it too, or does not know it to be superseded. One
    that we `had` and no longer hold is obsolete, however late it comes again. Under
    last_write_wins the greatest of what is left stays, and the others go into the context, so
    that replicas that drop losers in different orders drop the same ones.

    Args:
        ours: our state of the key.
        theirs: the other's.
        had: whether this node has had a write, by origin number and n.
        rank: the total order.
        policy: the key's: under last_write_wins alone not all concurrent writes stay.

    Returns:
        The merged state (None when both are empty), and each sibling that has lost a true conflict
        now, with the one that it lost to.
    """
    our_siblings, our_context = siblings_of(ours), context_of(ours)
    their_siblings, their_context = siblings_of(theirs), context_of(theirs)
    their_dots = {s[:2] for s in their_siblings}
    our_dots = {s[:2] for s in our_siblings}
    kept = [
        s
        for s in our_siblings
        if s[:2] in their_dots or not covers(their_siblings, their_context, s[0], s[1])
    ]
    kept += [
        s
        for s in their_siblings
        if s[:2] not in our_dots
        and not covers(our_siblings, our_context, s[0], s[1])
        and not had(s[0], s[1])
    ]
    context = dict(our_context)
    for origin, n in their_context.items():
        context[origin] = max(n, context.get(origin, 0))
    if not kept:
        return None, []
    kept.sort(key=rank)
    if policy is not Policy.LAST_WRITE_WINS:
        lost = overruled(our_siblings, kept) if policy in SETTLED_BY_PEOPLE else []
        return simplest(tuple(kept), context), lost
    *losers, winner = kept
    for origin, n, *_ in losers:
        context[origin] = max(n, context.get(origin, 0))
    return simplest((winner,), context), [(loser, winner) for loser in losers]


def overruled(before: Sequence[Sibling], now: Sequence[Sibling]) -> list[tuple[Sibling, Sibling]]:
    """Give the resolutions that do not count any more beside a greater one, each with that one.

    Args:
        before: siblings of a key, in the total order.
        now: what they are by now.
    """
    settling = [s for s in now if s[5] & RESOLUTION]
    known = [s[:2] for s in before if s[5] & RESOLUTION][:-1]
    return [(s, settling[-1]) for s in settling[:-1] if s[:2] not in known]


def shown(siblings: tuple[Sibling, ...]) -> tuple[Sibling, ...]:
    """Give the siblings that count: of several resolutions, and of equal values, the greatest.

    So nodes that settle one conflict at once make no new one, and do not echo. The others stay in
    the state all the same: if they left it, what is left would depend on the order of arrival, as
    a later write may supersede the greatest without having seen them.

    Args:
        siblings: of one key, in the total order.
    """
    if len(siblings) < 2:
        return siblings
    settling = [s for s in siblings if s[5] & RESOLUTION]
    counting = [s for s in siblings if not s[5] & RESOLUTION or s is settling[-1]]
    greatest = {s[4]: s for s in counting}
    return tuple(s for s in counting if greatest[s[4]] is s)


def standing(state: State | None) -> Sibling | None:
    """Give the sibling that stands for a key, None when it is absent or removed."""
    if state is None:
        return None
    if not isinstance(state, KeyState):
        return state if state[4] else None
    return next((s for s in reversed(shown(state.siblings)) if s[4]), None)
