"""How long syncs take."""

from __future__ import annotations

from softadastra.runtime.log_vitals import quantile_ms
from softadastra.runtime.sync_times import RECENT, SyncTimes


def test_all_syncs_are_counted_and_the_times_of_the_latest_are_kept():
    times = SyncTimes()
    for n in range(RECENT + 10):
        times.note(float(n))

    assert times.count == RECENT + 10
    assert times.sorted() == [float(n) for n in range(10, RECENT + 10)]


def test_quantiles_are_times_that_were_measured():
    times = [n / 1000 for n in range(1, 101)]

    assert quantile_ms([], 0.5) is None
    assert quantile_ms([0.002], 0.99) == 2.0
    assert quantile_ms(times, 0.5) == 51.0
    assert quantile_ms(times, 0.99) == 100.0
    assert quantile_ms(times, 1.0) == 100.0
