"""Three hosts on a switch that loses, delays, doubles and reorders. As root, on Linux."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from softadastra.errors import TransportError
from softadastra.testing import wait_until
from softadastra.testing.local_node import LocalNode
from tests.network.lossy_switch import Faults, lossy_switch
from tests.network.namespaces import Network
from tests.network.trio import Trio, in_step

pytestmark = pytest.mark.namespaces

FAULTS = {
    "loss": Faults(loss=0.3),
    "delay and doubling": Faults(delay_ms=(50, 200), doubling=0.3),
    "all": Faults(loss=0.1, doubling=0.2, delay_ms=(10, 60)),
}
"""Both ways, so that of ten segments that are lost at 30 % only five are answered. Frames that are
delayed by chance overtake each other."""

IN_STEP_SECONDS = 45.0
"""At 30 % loss a connection may take several dials, of 5 s each, and may end by itself: TCP gives
it up when a segment that was sent again and again is not confirmed for 6 s."""


@pytest.mark.parametrize("fault", FAULTS)
def test_writes_over_a_bad_link_arrive_while_it_is_bad(
    network: Network, tmp_path: Path, fault: str
) -> None:
    trio = Trio(network, tmp_path)
    trio.start_connected()
    with lossy_switch(network, fault, FAULTS[fault]) as switch:
        with trio.writing(fault):
            time.sleep(2.0)  # a hundred writes each
        assert wait_until(lambda: in_step(trio.nodes), IN_STEP_SECONDS), trio.told()

        with trio.writing(f"{fault}, then healed"):
            time.sleep(0.5)
        switch.faults = Faults()
        trio.settle()

        faults, counts = FAULTS[fault], switch.counts
        assert counts.carried > 100
        assert (counts.lost > 0) == (faults.loss > 0)
        assert (counts.doubled > 0) == (faults.doubling > 0)
        assert (counts.overtaken > 0) == (faults.delay_ms != (0, 0))


def dial(one: LocalNode, other: LocalNode) -> None:
    with suppress(TransportError):  # no answer within 5 s: it is dialled again by itself
        one.connect(other)


@pytest.mark.parametrize("who", ["named", "found, with security"])
def test_nodes_that_have_never_met_meet_over_a_link_that_loses_a_third(
    network: Network, tmp_path: Path, who: str
) -> None:
    """Those that nobody named find each other by multicast, of which nothing is sent again."""
    is_found = who == "found, with security"
    trio = Trio(network, tmp_path)
    trio.make_keys()
    with lossy_switch(network, f"meeting, {who}", Faults(loss=0.3)) as switch:
        security = "curve" if is_found else None
        trio.start(enable_discovery=is_found, security=security, insecure=not is_found)
        for node in trio.nodes:
            node.put_many((f"{node.node_id}/{n}", "x" * 1000) for n in range(500))
        if not is_found:
            with ThreadPoolExecutor() as executor:
                list(executor.map(dial, trio.nodes, trio.nodes[1:]))
        trio.settle(IN_STEP_SECONDS)
        assert switch.counts.lost > 0
