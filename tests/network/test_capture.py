"""What somebody sees who listens at the switch while nodes replicate. As root, on Linux."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from zmq.utils import z85

from softadastra.testing import wait_until
from tests.network.capture import capturing
from tests.network.namespaces import Network
from tests.network.trio import Trio, connected

pytestmark = pytest.mark.namespaces

NAMES = ("node-a", "node-b", "node-c")
BULK_BYTES = 100_000
"""Written at one node, so that two others get it: so much has to be in the capture at least."""

KEY, VALUE = "patient/4711", "the-diagnosis-of-the-patient"


def written(raw: bytes) -> set[bytes]:
    """Give the ways in which 32 bytes are written down."""
    words = {raw, raw.hex().encode(), raw.hex().upper().encode(), z85.encode(raw), b64encode(raw)}
    return {bytes(word) for word in words}


@pytest.mark.parametrize("security", ["curve", None])
def test_a_capture_at_the_switch_has_no_key_no_value_and_no_secret_of_nodes_with_security(
    network: Network, tmp_path: Path, security: str | None
) -> None:
    """Without it the same search finds all of it, secrets as well: they are written as values."""
    trio = Trio(network, tmp_path)
    secrets = set[bytes]()
    for pair in trio.make_keys():
        secrets |= {*written(pair.secret.raw), pair.secret.text().encode()}
    with capturing(network) as capture:
        trio.start(security=security, insecure=security is None, enable_discovery=True)
        assert wait_until(lambda: all(len(connected(node)) == 2 for node in trio.nodes), 30)
        for node in trio.nodes:
            node.put(f"{KEY}/{node.node_id}", f"{VALUE}-at-{node.node_id}")
            assert node.remove(f"{KEY}/{node.node_id}")
            node.put(f"{KEY}/{node.node_id}/again", f"{VALUE}-again-at-{node.node_id}")
        for number, secret in enumerate(sorted(secrets)):
            trio.nodes[0].put(f"secret/{number}", secret)
        trio.nodes[0].put("bulk", b"0123456789" * (BULK_BYTES // 10))
        trio.settle()

    private = {f"{VALUE}-again-at-{name}".encode() for name in NAMES} | secrets
    private |= {f"{KEY}/{name}/again".encode() for name in NAMES}
    private |= {KEY.encode(), VALUE.encode(), b"secret/0"}
    # Names are announced to everybody by discovery; so is that there is security, by ZMTP.
    public = {name.encode() for name in NAMES} | {b"CURVE" if security else b"NULL"}
    assert capture.found(public) == public
    assert sum(map(len, capture.streams())) > 2 * BULK_BYTES
    assert capture.found(private) == (set() if security else private)
