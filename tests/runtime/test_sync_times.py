"""How long syncs take."""

from __future__ import annotations

import pytest

from softadastra.runtime.log_vitals import quantile_ms
from softadastra.runtime.sync_times import BOUNDS_MS, RECENT, SyncTimes


def test_all_syncs_are_counted_and_the_times_of_the_latest_are_kept():
    times = SyncTimes()
    for n in range(RECENT + 10):
        times.note(float(n))

    assert times.count == RECENT + 10
    assert times.sorted() == [float(n) for n in range(10, RECENT + 10)]


def test_each_sync_counts_in_the_bucket_that_it_just_fits_in():
    times = SyncTimes()
    for seconds in (0.0, BOUNDS_MS[0] / 1000, 0.0011, BOUNDS_MS[-1] / 1000, 60.0):
        times.note(seconds)

    found = dict(zip((*BOUNDS_MS, None), times.buckets, strict=True))
    assert {bound: count for bound, count in found.items() if count} == {
        BOUNDS_MS[0]: 2, 2.5: 1, BOUNDS_MS[-1]: 1, None: 1
    }  # fmt: skip
    assert times.total_seconds == pytest.approx(61.0012)
    assert list(BOUNDS_MS) == sorted(BOUNDS_MS)


def test_quantiles_are_times_that_were_measured():
    times = [n / 1000 for n in range(1, 101)]

    assert quantile_ms([], 0.5) is None
    assert quantile_ms([0.002], 0.99) == 2.0
    assert quantile_ms(times, 0.5) == 51.0
    assert quantile_ms(times, 0.99) == 100.0
    assert quantile_ms(times, 1.0) == 100.0
