"""When to dial whom."""

from __future__ import annotations

from softadastra.sync.dialing import Dialer
from softadastra.types import Peer

B = Peer.local("b", 4042)


def dialer() -> Dialer:
    return Dialer(retry_max_ms=5_000, jitter=lambda: 0.0)


def test_a_new_address_is_due_at_once():
    table = dialer()
    table.add(B, 100)

    assert [a.peer for a in table.due(100, set())] == [B]


def test_a_connected_peer_is_not_dialled():
    table = dialer()
    table.add(B, 0)

    assert table.due(0, {"b"}) == []
    assert table.deadline({"b"}) is None


def test_failures_wait_longer_and_longer_and_never_end():
    table, now, waits = dialer(), 0, []
    table.add(B, now)
    for link in range(12):
        (attempt,) = table.due(now, set())
        attempt.link = link
        assert table.due(now, set()) == []
        table.lost(attempt, "connection refused", now)
        due = table.deadline(set())
        assert due is not None
        waits.append(due - now)
        now = due

    assert waits[:3] == [100, 200, 400]
    assert waits[-1] == 5_000


def test_a_connection_that_lasted_is_dialled_again_at_once_when_it_is_lost():
    table = dialer()
    table.add(B, 0)
    (attempt,) = table.due(0, set())
    attempt.link = 1
    table.connected(attempt, 0)
    table.lost(attempt, "closed", 1_000)

    assert len(table.due(1_000, set())) == 1


def test_a_peer_that_ends_each_connection_after_its_greeting_is_dialled_more_and_more_rarely():
    table, now, waits = dialer(), 0, []
    table.add(B, now)
    for link in range(4):
        (attempt,) = table.due(now, set())
        attempt.link = link
        table.connected(attempt, now)
        table.lost(attempt, "closed", now + 5)
        waits.append(attempt.due_ms - (now + 5))
        now = attempt.due_ms

    assert waits == [100, 200, 400, 800]


def test_another_address_replaces_the_old_one():
    table = dialer()
    table.add(B, 0)
    table.add(Peer.local("b", 5000), 0)

    assert [a.peer.port for a in table.due(0, set())] == [5000]
