"""check_merge: what may merge conflicts passes, what may not is shown on the smallest example."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from softadastra import ConflictingValue, InvalidArgumentError
from softadastra.testing import check_merge

Writes = Sequence[ConflictingValue]


def values(writes: Writes) -> list[Any]:
    return [write.value for write in writes if not write.is_removed]


def union(key: str, writes: Writes) -> list[Any]:
    return sorted({item for value in values(writes) for item in value})


def largest(key: str, writes: Writes) -> object:
    return max((v for v in values(writes) if v is not None), default=None)


def every_counter(key: str, writes: Writes) -> dict[str, int]:
    """A counter with a part for each node: of each part the greatest counts."""
    merged: dict[str, int] = {}
    for value in values(writes):
        for name, amount in (value or {}).items():
            merged[name] = max(amount, merged.get(name, 0))
    return merged


def total(key: str, writes: Writes) -> int:
    return sum(values(writes))


def mean(key: str, writes: Writes) -> float:
    found = [value for value in values(writes) if value is not None]
    return sum(found) / len(found) if found else 0.0


def latest(key: str, writes: Writes) -> object:
    return writes[0].value


def of_node_a(key: str, writes: Writes) -> object:
    """What the first node wrote; a result is written by whoever met the conflict."""
    return min(writes, key=lambda write: write.origin).value


def strict(key: str, writes: Writes) -> object:
    return max(write.value for write in writes)  # type: ignore[type-var]  # the mistake


def unsorted_text(key: str, writes: Writes) -> str:
    return "".join(values(writes))


def unstorable(key: str, writes: Writes) -> object:
    return set(values(writes))


def keeps_both(key: str, writes: Writes) -> list[Any]:
    return sorted(values(writes), key=repr)


numbers = count()


def numbered(key: str, writes: Writes) -> int:
    return next(numbers)


@pytest.mark.parametrize(
    ("function", "samples"),
    [
        (union, [[], ["b", "a"], ["c"], ["a", "b"]]),
        (largest, [1, 5, -3, 2**64 - 1]),
        (every_counter, [{"a": 1}, {"b": 2, "a": 3}, {"a": 2, "c": 1}]),
        (lambda key, writes: key, [1, 2]),
    ],
)
def test_a_function_that_keeps_the_laws_passes(function, samples):
    check_merge(function, samples)


@pytest.mark.parametrize(
    ("function", "samples", "law"),
    [
        (total, [1, 2], "idempotent"),
        (keeps_both, [1, 2], "idempotent"),
        (mean, [0.0, 4.0, 8.0], "idempotent"),
        (latest, [1, 2], "commutative"),
        (unsorted_text, ["a", "b"], "idempotent"),
        (of_node_a, [1, 2], "associative"),
        (strict, [1, 2], "total"),
        (unstorable, [1, 2], "total"),
        (numbered, [1], "deterministic"),
    ],
)
def test_a_function_that_breaks_a_law_is_refused_by_its_name(function, samples, law):
    with pytest.raises(InvalidArgumentError, match=function.__name__) as refused:
        check_merge(function, samples)

    assert refused.value.context["law"] == law


def test_the_example_is_the_smallest_one_in_words():
    with pytest.raises(InvalidArgumentError) as refused:
        check_merge(total, [700, 0, 30, 1], key="stock/nut")

    assert refused.value.context == {"law": "idempotent", "key": "stock/nut", "values": [0, 1]}
    assert (
        "for 'stock/nut', the latest write first, [node-b: 1, node-a: 0] give 1, and that merged "
        "with 1 gives 2"
    ) in refused.value.message


def test_a_result_that_meets_a_third_write_is_tried_in_both_places():
    """The median of three is right for three at once, and depends on which two met before."""

    def median(key: str, writes: Writes) -> object:
        found = sorted(value for value in values(writes) if value is not None)
        return found[(len(found) - 1) // 2] if found else None

    with pytest.raises(InvalidArgumentError, match=r"which node-. writes, and that") as refused:
        check_merge(median, [1, 2, 3])

    assert refused.value.context["law"] == "associative"


def test_a_remove_is_tried_though_no_sample_is_one():
    with pytest.raises(InvalidArgumentError, match="removed") as refused:
        check_merge(strict, [1])

    assert refused.value.context["values"] in ([1, None], [None, 1])


def test_a_function_may_change_what_it_is_given():
    def greedy(key: str, writes: Writes) -> list[Any]:
        first = values(writes) or [[]]
        for value in first[1:]:
            first[0].extend(value)
        return sorted(set(first[0]))

    check_merge(greedy, [["a"], ["b"]])


def test_the_order_within_a_dict_is_no_difference_and_the_type_of_a_number_is():
    check_merge(lambda key, writes: {k: 1 for v in values(writes) for k in v}, [{"a": 1}, {"b": 1}])

    with pytest.raises(InvalidArgumentError, match="commutative"):
        check_merge(lambda key, writes: max(values(writes), default=0), [1, 1.0])


@pytest.mark.parametrize("samples", [[], range(17), [{1: 2}], [object()]])
def test_samples_that_cannot_be_tried_are_refused(samples):
    with pytest.raises(InvalidArgumentError) as refused:
        check_merge(largest, samples)

    assert "law" not in refused.value.context
