"""Tell a service manager how far a node is, as sd_notify(3) describes it."""

from __future__ import annotations

import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Tell systemd, when that started this process with Type=notify; else nothing.

    Args:
        state: "READY=1" or "STOPPING=1".

    Raises:
        OSError: nobody listens where the environment says.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names begin with a zero byte
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.sendto(state.encode(), address)
