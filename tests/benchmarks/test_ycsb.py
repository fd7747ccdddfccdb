"""The operations are those that YCSB publishes."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions

from . import sqlite_store
from .ycsb import RECORDS, WORKLOADS, Kind, Workload, operations, record
from .ycsb_stores import NodeStore, SqliteStore, done

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


def test_what_was_inserted_is_drawn_as_well() -> None:
    for workload in WORKLOADS[3:5]:
        asked = list(operations(workload, 2_000))
        inserted = {each.key for each in asked if each.kind is Kind.INSERT}
        drawn = [each.key for each in asked if each.kind is not Kind.INSERT]

        assert inserted & set(drawn)


def test_the_newest_records_are_read_most_where_the_latest_are_wanted() -> None:
    held = [key for key, _ in _records()]
    ages = []
    for each in operations(WORKLOADS[3], 4_000):
        if each.kind is Kind.INSERT:
            held.append(each.key)
        else:
            ages.append(held[::-1].index(each.key))

    weights = [1 / (rank + 1) ** 0.99 for rank in range(len(held))]
    assert abs(ages.count(0) / len(ages) - 1 / sum(weights)) < 0.02
    assert abs(sum(age < 10 for age in ages) / len(ages) - sum(weights[:10]) / sum(weights)) < 0.03


def _records() -> list[tuple[str, bytes]]:
    from random import Random

    return [record(number, Random(0)) for number in range(RECORDS)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_node_and_sqlite_are_asked_the_same_and_answer_the_same(
    workload: Workload, tmp_path: Path
) -> None:
    with (
        Client(ClientOptions.memory_only("node-a")) as client,
        closing(sqlite_store.opened(tmp_path, "OFF")) as connection,
    ):
        stores = (NodeStore(client), SqliteStore(connection))
        for key, value in _records():
            for store in stores:
                store.write(key, value)

        for operation in operations(workload, 300):
            node, sqlite = (done(store, operation) for store in stores)
            assert node == sqlite
            assert operation.kind is not Kind.SCAN or node
