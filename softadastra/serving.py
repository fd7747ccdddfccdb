"""Which of a process's nodes answer on a control socket, and what they say of themselves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from softadastra.control.calls import About, Served
from softadastra.control.listening import Listening
from softadastra.control.operations import Operations
from softadastra.control.places import log_identity
from softadastra.control.server import ControlServer
from softadastra.options import ClientOptions

__all__ = ["control_server"]


def control_server(
    node: Operations,
    options: ClientOptions,
    *,
    stop: Callable[[], None] | None,
    tell: Callable[..., None],
) -> ControlServer:
    """Make what answers for a node that has its log open. It is not started yet.

    Args:
        node: what it answers from.
        options: the node's settings.
        stop: ends the node from outside; None: only its application can.
        tell: notes an event.
    """
    log = options.resolved_wal_path()
    about = About(
        node_id=options.node_id,
        pid=os.getpid(),
        started_at_ms=time.time_ns() // 1_000_000,
        log=str(log.absolute()),
        place=log_identity(log),
        is_stoppable=stop is not None,
        host=options.transport_host,
        security=options.security,
        max_key_bytes=options.max_key_bytes,
        max_value_bytes=options.max_value_bytes,
    )
    return ControlServer(Served(node=node, about=about, stop=stop), Listening(log), tell)
