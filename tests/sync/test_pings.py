"""Silent peers are asked whether they are there: several at a time, and none too late."""

from __future__ import annotations

from softadastra.sync.messages import Ping
from softadastra.sync.session import PING_INTERVAL_MS
from tests.engines import Network

STEP_MS = 50
ROUNDS = 10


def test_peers_that_were_met_at_different_times_are_soon_asked_together():
    """Else each of n peers wakes this node on its own: 32 of them woke it 40 times a second."""
    names = [f"peer-{number}" for number in range(6)]
    network = Network("hub", *names)
    for name in names:
        network.join("hub", name)
        network.advance(PING_INTERVAL_MS // len(names), step=STEP_MS)
    network.advance(2 * PING_INTERVAL_MS, step=STEP_MS)

    wakings = 0
    for _ in range(ROUNDS * PING_INTERVAL_MS // STEP_MS):
        network.sent.clear()
        network.advance(STEP_MS, step=STEP_MS)
        wakings += any(isinstance(message, Ping) for _, _, message in network.sent)

    assert wakings <= 3 * ROUNDS


def test_no_peer_is_asked_later_for_being_asked_together():
    network = Network("hub", "one", "other")
    one = network.join("hub", "one")
    network.advance(PING_INTERVAL_MS // 8, step=STEP_MS)
    other = network.join("hub", "other")
    hub = network["hub"].engine.connections
    for _ in range(ROUNDS * PING_INTERVAL_MS // STEP_MS):
        network.advance(STEP_MS, step=STEP_MS)

        now_ms = network["hub"].now.mono_ms
        for link in (one, other):
            assert now_ms - hub.sessions[link].heard_ms <= PING_INTERVAL_MS + 2 * STEP_MS
