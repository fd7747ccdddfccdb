"""The operations are those that YCSB publishes."""

from __future__ import annotations

from collections import Counter

import pytest

from .ycsb import RECORDS, WORKLOADS, Kind, Workload, operations, record

COUNT = 20_000


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_mix_is_the_published_one(workload: Workload) -> None:
    found = Counter(operation.kind for operation in operations(workload, COUNT))

    assert found.keys() == {kind for kind, _ in workload.parts}
    for kind, part in workload.parts:
        assert abs(found[kind] / COUNT - part) < 0.015


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_operations_are_the_same_each_time_and_of_keys_that_are_there(workload: Workload) -> None:
    held = {key for key, _ in _records()}
    for operation in operations(workload, 2_000):
        if operation.kind is Kind.INSERT:
            assert operation.key not in held
            held.add(operation.key)
        assert operation.key in held

    assert list(operations(workload, 2_000)) == list(operations(workload, 2_000))


def test_keys_are_drawn_as_a_zipfian_distribution_has_it() -> None:
    found = Counter(operation.key for operation in operations(WORKLOADS[2], COUNT))
    weights = [1 / (rank + 1) ** 0.99 for rank in range(RECORDS)]

    (_, first), (_, second) = found.most_common(2)
    assert first / COUNT > weights[0] / sum(weights) * 0.9
    assert 1.5 < first / second < 2.6


def test_the_newest_records_are_read_most_where_the_latest_are_wanted() -> None:
    newest = {key for key, _ in _records()[-10:]}
    reads = [each for each in operations(WORKLOADS[3], 200) if each.kind is Kind.READ]

    assert sum(each.key in newest for each in reads[:50]) > 10


def _records() -> list[tuple[str, bytes]]:
    from random import Random

    return [record(number, Random(0)) for number in range(RECORDS)]
