"""Whether a function that merges conflicting values may be a conflict policy.

Nodes meet the writes of a conflict in different orders and groups. A node that meets some of them
writes what the function makes of these; another node meets that result beside the rest. All come
to the same value only if the function is

    deterministic   the same writes give the same value, at each call
    commutative     whichever of them is the latest
    associative     also when some of them were merged before, and came as one write
    idempotent      a result that meets what it was made of, or itself, stays what it is

and always gives a value that can be stored. The writes that it is tried on are what a node shows
it: the greatest first, a remove among them; a result is a later write of a node whose write is in
it. Two dicts with the same items are the same value, 1 and 1.0 are two.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement, permutations
from typing import Final, NamedTuple

from softadastra.errors import InvalidArgumentError
from softadastra.packing import check_key, pack_value
from softadastra.store.siblings import TOMBSTONE
from softadastra.store.values import unpack_value
from softadastra.types import ConflictingValue, MergeFunction, Storable, Value

__all__ = ["SAMPLES_MAX", "check_merge"]

SAMPLES_MAX: Final = 16
"""Each group of three of them costs 66 calls: 16 and a remove are 65,000, a second or two."""

KEY_BYTES_MAX: Final = 1_024
VALUE_BYTES_MAX: Final = 1 << 20
"""What a node takes by default."""

ORIGINS: Final = ("node-a", "node-b", "node-c")
STAMP_STEP_MS: Final = 1_000
"""Between the writes of a trial: a result's stamp fits between them."""


def check_merge(function: MergeFunction, samples: Iterable[Storable], *, key: str = "key") -> None:
    """Check that a function may merge conflicts, by trying it on groups of two and three writes.

        def largest(key, writes):
            return max(write.value for write in writes if not write.is_removed)

        check_merge(largest, samples=[1, 5, -3])    # raises: nothing is left of two removes

    Returning proves nothing for values that are unlike the samples; with a property-based test the
    samples can be drawn, two or three at a time.

    Args:
        function: takes a key and the conflicting writes, the greatest first; gives their value.
        samples: values that nodes might write under this key, at most 16; a remove is always tried
            with them.
        key: what the function is told that the values belong to.

    Raises:
        InvalidArgumentError: the function breaks a law, and the message shows the smallest group of
            writes on which it does; `.context["law"]` names the law. Or key or samples are unfit.
    """
    packed = {canonical(pack_value(sample, max_bytes=VALUE_BYTES_MAX)) for sample in samples}
    if not 1 <= len(packed) <= SAMPLES_MAX:
        raise InvalidArgumentError(
            f"check_merge needs 1 to {SAMPLES_MAX} different samples, got {len(packed)}"
        )
    trial = Trial(function, check_key(key, max_bytes=KEY_BYTES_MAX))
    # A remove comes last: what is wrong without one is easier to see without one.
    choices = [*sorted(packed, key=lambda value: (len(value), value)), TOMBSTONE]
    for pair in groups(choices, 2):
        trial.check_pair(pair)
    for three in groups(choices, 3):
        trial.check_three(three)


def groups(choices: Sequence[bytes], size: int) -> list[tuple[bytes, ...]]:
    """Give the groups of so many packed values, the simplest first."""
    found = combinations_with_replacement(choices, size)
    return sorted(found, key=lambda group: (group.count(TOMBSTONE), sum(map(len, group))))


class Write(NamedTuple):
    """One write of a trial."""

    packed: bytes
    origin: str
    stamp_ms: int
    version: int = 1

    def __str__(self) -> str:
        return f"{self.origin}: {shown(self.packed)}"


class Trial:
    """Calls a function with writes, and says what it does wrong.

    Args:
        function: what is tried.
        key: what it is told.
    """

    def __init__(self, function: MergeFunction, key: str) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.key = key

    def check_pair(self, group: tuple[bytes, ...]) -> None:
        """Try two writes that meet, and their result when it meets them again."""
        for writes in self.in_all_orders(group):
            result = self.merge(writes)
            merged = result_of(result, writes, writes[0].origin)
            same = result_of(result, writes, writes[1].origin)
            for write in (same, *writes):
                again = self.merge([merged, write])
                if again != result:
                    words = (
                        f"[{listed(writes)}] give {shown(result)}, and that merged with "
                        f"{shown(write.packed)} gives {shown(again)}"
                    )
                    raise self.broken("idempotent", words, writes)

    def check_three(self, group: tuple[bytes, ...]) -> None:
        """Try three writes that meet at once, and that meet after two of them were merged."""
        for writes in self.in_all_orders(group):
            at_once = self.merge(writes)
            for last in writes:
                first_two = [write for write in writes if write is not last]
                between = self.merge(first_two)
                for origin in (write.origin for write in first_two):
                    in_turn = self.merge([result_of(between, first_two, origin), last])
                    if in_turn != at_once:
                        words = (
                            f"[{listed(writes)}] give {shown(at_once)}; but [{listed(first_two)}] "
                            f"give {shown(between)}, which {origin} writes, and that merged with "
                            f"{shown(last.packed)} gives {shown(in_turn)}"
                        )
                        raise self.broken("associative", words, writes)

    def in_all_orders(self, group: tuple[bytes, ...]) -> Iterator[list[Write]]:
        """Give a group as writes, each of a node of its own, with each order of their stamps."""
        first: list[Write] = []
        first_result = b""
        for ranks in permutations(range(len(group))):
            stamped = zip(group, ORIGINS, ranks, strict=False)
            writes = [Write(v, origin, rank * STAMP_STEP_MS) for v, origin, rank in stamped]
            result = self.merge(writes)
            if not first:
                first, first_result = writes, result
                again = self.merge(writes)
                if again != result:
                    words = f"[{listed(writes)}] give {shown(result)}, then {shown(again)}"
                    raise self.broken("deterministic", words, writes)
            elif result != first_result:
                words = (
                    f"[{listed(first)}] give {shown(first_result)}, and [{listed(writes)}] give "
                    f"{shown(result)}"
                )
                raise self.broken("commutative", words, writes)
            yield writes

    def merge(self, writes: Sequence[Write]) -> bytes:
        """Call the function as a node does; give its value, packed."""
        ordered = in_order(writes)
        values = [conflicting(write) for write in ordered]
        try:
            return canonical(pack_value(self.function(self.key, values), max_bytes=VALUE_BYTES_MAX))
        except Exception as error:  # the function is somebody else's
            is_ours = isinstance(error, InvalidArgumentError)
            words = f"[{listed(writes)}] give no value: {error if is_ours else repr(error)}"
            raise self.broken("total", words, writes) from error

    def broken(self, law: str, words: str, writes: Sequence[Write]) -> InvalidArgumentError:
        """Give the error for a law that does not hold."""
        advice = ADVICE[law]
        return InvalidArgumentError(
            f"the merge function {self.name} is not {law}: for {reprlib.repr(self.key)}, the "
            f"latest write first, {words}; {advice}",
            law=law,
            key=self.key,
            values=[None if w.packed == TOMBSTONE else unpack_value(w.packed) for w in writes],
        )


ADVICE: Final = {
    "total": "it has to give a value that can be stored for any writes; that of a removed one is "
    "None, with is_removed",
    "deterministic": "it may depend on nothing but the values, and has to sort what comes of a set",
    "commutative": "it may not depend on which write is the latest",
    "associative": "it may depend on the values alone, not on who wrote them or how many they are",
    "idempotent": "it must not count or add up what comes more than once",
}


def conflicting(write: Write) -> ConflictingValue:
    """Show a write as a node does; values are fresh, so that a function may change them."""
    return ConflictingValue(
        value=None if write.packed == TOMBSTONE else unpack_value(write.packed),
        is_removed=write.packed == TOMBSTONE,
        origin=write.origin,
        sync_id=f"{write.origin}-{write.version}",
        version=write.version,
        timestamp_ms=write.stamp_ms,
    )


def result_of(packed: bytes, merged: Sequence[Write], origin: str) -> Write:
    """Give the write that settles a conflict: later than all that it supersedes, and than no more.

    A write of a node whose clock is ahead may still be later.
    """
    latest = max(write.stamp_ms for write in merged)
    return Write(packed, origin, latest + 1, max(write.version for write in merged) + 1)


def in_order(writes: Sequence[Write]) -> list[Write]:
    """Give the greatest write first."""
    return sorted(writes, key=lambda w: (w.stamp_ms, w.origin), reverse=True)


def listed(writes: Sequence[Write]) -> str:
    """Name writes as the function gets them."""
    return ", ".join(map(str, in_order(writes)))


def shown(packed: bytes) -> str:
    """Show a value, however large."""
    return "removed" if packed == TOMBSTONE else reprlib.repr(unpack_value(packed))


def canonical(packed: bytes) -> bytes:
    """Give the bytes of a value whose dicts are in the order of their keys."""
    return pack_value(sorted_dicts(unpack_value(packed)), max_bytes=VALUE_BYTES_MAX)


def sorted_dicts(value: Value) -> Value:
    """Give an equal value whose dicts are in the order of their keys."""
    match value:
        case dict():
            return {name: sorted_dicts(value[name]) for name in sorted(value)}
        case list():
            return [sorted_dicts(item) for item in value]
        case _:
            return value
