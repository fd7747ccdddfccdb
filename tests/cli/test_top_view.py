"""The picture of `top`: what matters is whole on any terminal, and nothing forges a line."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from softadastra.cli.top_view import as_size, draw
from softadastra.types import PeerState
from softadastra.vitals import LogRefusal, RefusalKind, Vitals
from tests.health.samples import NOW_MS, PEER, VITALS


def later(vitals: Vitals, **traffic: int) -> Vitals:
    """Two seconds later, with other totals."""
    totals = replace(vitals.traffic, **traffic)
    peers = tuple(replace(peer, traffic=totals) for peer in vitals.peers)
    return replace(vitals, elapsed_ms=vitals.elapsed_ms + 2_000, traffic=totals, peers=peers)


def printed(
    now: Vitals, before: Vitals | None = None, *, width: int = 80, is_running: bool = True
) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(draw(before, now, is_running=is_running, width=width))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def row_of(lines: list[str], peer: str) -> list[str]:
    (row,) = [line.split() for line in lines if line.split()[1:2] == ["connected"]
              and line.startswith(peer)]  # fmt: skip
    return row


def test_eighty_columns_show_all_of_the_node_and_its_peers() -> None:
    lines = printed(VITALS)

    assert lines[0] == "node-a  up 3 h, port 4041, 1 of 1 peer connected"
    assert lines[1:6] == [
        "store  155,063 keys, 12.3 MB; 1 conflict, 2 lost; 3 tombstones",
        "       node-c holds 3 tombstones, for 2 h",
        "log    25.0 MB, about 20.0 MB of it alive",
        "syncs  half in 0.9 ms, 99 % in 4.0 ms, longest 12.5 ms",
        "outbox 115: 20 held, 40 queued, 30 in flight, 20 acknowledged, 5 failed",
    ]
    assert row_of(lines, "node-b") == [
        "node-b", "connected", "1,234", "2", "min", "7", "12", "3", "2", "ms", "11", "ms"
    ]  # fmt: skip
    assert max(map(len, lines)) <= 80


def test_no_more_of_a_log_is_alive_than_there_is() -> None:
    """What is alive is estimated, too high for a log of large batches."""
    assert VITALS.log is not None
    log = replace(VITALS.log, size_bytes=8_000, live_bytes=17_000)

    assert "log    8.0 kB, about 8.0 kB of it alive" in printed(replace(VITALS, log=log))


def test_forty_columns_show_who_lags_and_for_how_long() -> None:
    lines = printed(VITALS, width=40)

    assert row_of(lines, "node-b") == ["node-b", "connected", "1,234", "2", "min"]
    assert max(map(len, lines)) <= 40


def test_two_looks_give_rates_of_the_node_and_of_each_peer() -> None:
    now = later(VITALS, bytes_in=14_000, bytes_out=20_000, writes_in=130)
    lines = printed(now, VITALS, width=120)

    assert "writes  0.0/s made, 50.0/s in, 0.0/s out" in lines
    assert "traffic 2.0 kB/s in, 0 B/s out" in lines
    assert row_of(lines, "node-b")[-6:] == ["2.0", "kB", "0", "B", "-4", "ms"]


def test_one_look_gives_no_rates() -> None:
    lines = printed(VITALS, width=120)

    assert not any(line.startswith(("writes", "traffic")) for line in lines)


def test_who_lags_most_comes_first() -> None:
    others = (replace(PEER, node_id="node-0", lag=0, lag_ms=0), PEER)
    lines = printed(replace(VITALS, peers=others))

    names = [line.split()[0] for line in lines if line.startswith("node-") and "connected" in line]
    assert names[1:] == ["node-b", "node-0"]


def test_why_a_peer_is_away_is_said_below() -> None:
    away = replace(
        PEER,
        state=PeerState.STALE,
        last_error="connection refused",
        next_ms=NOW_MS + 3_200,
    )
    lines = printed(replace(VITALS, peers=(away,)))

    assert "node-b: connection refused; again in 3 s" in lines


def test_what_is_not_known_is_not_shown_as_nothing() -> None:
    unheard = replace(PEER, ahead=None, others_lag=None, round_trip_ms=None, confirmation_ms=None)
    row = row_of(printed(replace(VITALS, peers=(unheard,))), "node-b")

    assert row == ["node-b", "connected", "1,234", "2", "min", "?", "12", "3", "-", "-"]


def test_a_node_that_does_not_run_or_write_says_so_in_its_first_line() -> None:
    node = replace(VITALS.node, transport_port=None, is_writing=False)
    first, *_ = printed(replace(VITALS, node=node), is_running=False)

    assert first == "node-a  not running, offline, 1 of 1 peer connected, WRITES NO MORE"


def test_what_is_wrong_with_the_node_stands_below_its_name() -> None:
    assert VITALS.log is not None
    refusal = LogRefusal(kind=RefusalKind.FULL, since_ms=NOW_MS - 5_000, detail="no \x1b[2J space")
    full = replace(VITALS, log=replace(VITALS.log, refusal=refusal))
    lines = printed(full, width=200)

    assert lines[1].startswith("The log of this node found no room 5 s ago")
    assert lines[1].endswith(": no \\x1b[2J space.")
    assert lines[2].startswith("store ")


def test_what_a_peer_says_cannot_move_the_cursor() -> None:
    liar = replace(PEER, node_id="b\x1b[2J", last_error="\x1b[31mred\nforged", next_ms=None)
    shown = "\n".join(printed(replace(VITALS, peers=(liar,)), width=200))

    assert "\x1b" not in shown
    assert "b\\x1b[2J: \\x1b[31mred\\nforged" in shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (12_345_678, "12.3 MB"), (4e15, "4,000.0 TB")],
)
def test_sizes_are_shown_in_the_largest_unit(size: float, shown: str) -> None:
    assert as_size(size) == shown
