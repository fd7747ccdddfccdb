"""What a node says of itself and of the machine it runs on."""

from __future__ import annotations

import platform
import socket

from softadastra.errors import MetadataError
from softadastra.types import NodeInfo

__all__ = ["describe_node"]


def describe_node(
    *,
    node_id: str,
    display_name: str,
    version: str,
    started_at_ms: int,
    now_ms: int,
    capabilities: frozenset[str],
) -> NodeInfo:
    """Describe a node, reading the machine's name and system anew.

    Args:
        node_id: its name in the cluster.
        display_name: its name for people; may be empty.
        version: of the application.
        started_at_ms: wall clock, milliseconds since 1970.
        now_ms: the same clock now.
        capabilities: which services it offers.

    Raises:
        MetadataError: the machine's name cannot be read.
    """
    try:
        hostname = socket.gethostname()
    except OSError as error:
        raise MetadataError(f"cannot read this machine's name: {error}") from error
    return NodeInfo(
        node_id=node_id,
        display_name=display_name,
        hostname=hostname,
        os_name=f"{platform.system()} {platform.release()}",
        version=version,
        started_at_ms=started_at_ms,
        uptime_ms=max(0, now_ms - started_at_ms),
        capabilities=capabilities,
    )
