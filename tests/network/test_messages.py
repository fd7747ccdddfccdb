"""Messages that are lost, doubled, late or of an earlier connection, between real nodes."""

from __future__ import annotations

import time

from softadastra import Peer
from tests.eventually import DEADLINE_SECONDS, eventually
from tests.network.message_relay import ALL_LOST, ALL_PASS, MIXED, Fate, MessageRelay
from tests.network.test_loopback import address, stack, started

__all__ = ["stack"]


def test_messages_that_were_all_lost_are_sent_again_on_the_same_connection(stack):
    """Nothing tells that they were, but that nobody confirms them."""
    a, b = (started(stack, name, retry_interval=0.2) for name in ("node-a", "node-b"))
    with MessageRelay(address(b).port, "lost") as relay:
        a.connect(Peer.local("node-b", relay.port))
        relay.fates = ALL_LOST
        a["from-a"] = 1
        b["from-b"] = 2
        eventually(lambda: relay.counts[Fate.LOST] >= 6)
        relay.fates = ALL_PASS

        eventually(lambda: dict(a) == dict(b) == {"from-a": 1, "from-b": 2})
        assert a.wait_synced(DEADLINE_SECONDS)
        assert b.wait_synced(DEADLINE_SECONDS)
        assert a.sync_state().total_retries > 0
        assert relay.connections_count == 1


def test_messages_that_are_lost_doubled_late_or_old_lose_no_write(stack):
    """What cannot be is refused, and ends its connection; it is made anew."""
    a, b = (started(stack, name, retry_interval=0.2) for name in ("node-a", "node-b"))
    expected: dict[str, int] = {}

    def write(writes: int) -> None:
        for n in range(writes):
            for node in (a, b):
                key = f"{node.options.node_id}/{n % 50}"
                if n % 5 == 4 and node.remove(key):
                    del expected[key]
                else:
                    node[key] = expected[key] = len(expected) + n
            time.sleep(0.01)

    with MessageRelay(address(b).port, "messages") as relay:
        a.connect(Peer.local("node-b", relay.port))
        relay.fates = MIXED
        write(100)
        relay.reset()
        write(100)
        relay.fates = ALL_PASS

        eventually(lambda: dict(a) == dict(b) == expected)
        assert a.digest() == b.digest()
        assert a.wait_synced(DEADLINE_SECONDS)
        assert b.wait_synced(DEADLINE_SECONDS)
        assert all(relay.counts[fate] for fate in Fate), relay.counts
