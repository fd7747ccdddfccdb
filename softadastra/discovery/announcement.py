"""What a node says of itself on the local network, in the records of DNS-SD (RFC 6763).

    _softadastra._tcp.local.           PTR     LABEL._softadastra._tcp.local.
    LABEL._softadastra._tcp.local.     SRV     the port, and HOST.local.
    LABEL._softadastra._tcp.local.     TXT     node_id=...  cluster=...  protocol=1  port=...
    HOST.local.                        A, AAAA the addresses

It is no secret: everybody on the network reads it. What others say is read as if a liar had
written it, which anybody can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from softadastra.errors import DiscoveryError

__all__ = ["SERVICE_TYPE", "Announcement", "label_of", "read_announcement"]

SERVICE_TYPE: Final = "_softadastra._tcp.local."

NAME_BYTES_MAX: Final = 247
"""A string of a TXT record has 255 bytes (RFC 6763, section 6.1), `cluster=` among them."""

LABEL_BYTES_MAX: Final = 60
"""A label has 63 bytes (RFC 1035, section 2.3.4); `-2` to `-99` may come behind it, when the name
is taken."""

PORT_MIN: Final = 1_024
"""Below are the services of the system, to which nobody shall send this node by a forged record."""

PROTOCOL_DIGITS_MAX: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a node says of itself.

    Args:
        node_id: its name.
        cluster: the cluster that it is in.
        protocol: the version of the protocol that it speaks.
        port: where it listens.

    Raises:
        DiscoveryError: a name is too long to be announced.
    """

    node_id: str
    cluster: str
    protocol: int
    port: int

    def __post_init__(self) -> None:
        for name, value in (("node_id", self.node_id), ("cluster", self.cluster)):
            size = len(value.encode())
            if size > NAME_BYTES_MAX:
                raise DiscoveryError(
                    f"{name} {value[:20]!r}... has {size} bytes, and {NAME_BYTES_MAX} can be "
                    "announced: choose a shorter one, or name the peers"
                )

    @property
    def text(self) -> dict[str, str]:
        """The content of the TXT record."""
        return {
            "node_id": self.node_id,
            "cluster": self.cluster,
            "protocol": str(self.protocol),
            "port": str(self.port),
        }


def label_of(node_id: str) -> str:
    """Give the label that a node is announced under: its name, where that can be one.

    A label has no dot here, and two that differ in case are one (RFC 6762, section 16). Names that
    have to be changed get a part of their hash, so that two different ones stay different. Nobody
    reads a name from a label.
    """
    label = node_id.replace(".", "-").lstrip("_").lower()
    if label == node_id and len(label.encode()) <= LABEL_BYTES_MAX:
        return label
    digest = hashlib.sha256(node_id.encode()).hexdigest()[:8]
    kept = label.encode()[: LABEL_BYTES_MAX - 9].decode(errors="ignore")
    return f"{kept}-{digest}"


def read_announcement(text: Mapping[bytes, bytes | None], port: int) -> Announcement | None:
    """Read what another node, or somebody who plays one, says of itself.

    Args:
        text: the content of its TXT record.
        port: that of its SRV record, which counts.

    Returns:
        None when it is not what a node says.
    """
    node_id, cluster = (_read_name(text.get(key)) for key in (b"node_id", b"cluster"))
    protocol = text.get(b"protocol") or b""
    if not node_id or not cluster or not PORT_MIN <= port <= 65535:
        return None
    if not protocol.isdigit() or len(protocol) > PROTOCOL_DIGITS_MAX:
        return None
    return Announcement(node_id=node_id, cluster=cluster, protocol=int(protocol), port=port)


def _read_name(value: bytes | None) -> str:
    """Read printable text; empty when it is none."""
    try:
        name = (value or b"").decode()
    except UnicodeDecodeError:
        return ""
    return name if name.isprintable() and len(name.encode()) <= NAME_BYTES_MAX else ""
