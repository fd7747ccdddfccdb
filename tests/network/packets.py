"""Ethernet frames of another network namespace, through packet sockets (packet(7))."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fcntl import ioctl
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["FRAME_BYTES_MAX", "dropped_count", "leave_checksums_to_software", "packet_socket"]

FRAME_BYTES_MAX: Final = 66_000
"""An IPv4 packet of 65,535 bytes, as segmentation in hardware would make it, with its header."""

ETH_P_ALL: Final = 3
SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_MR_PROMISC: Final = 1
PACKET_STATISTICS: Final = 6
PACKET_IGNORE_OUTGOING: Final = 23
SO_RCVBUFFORCE: Final = 33
CLONE_NEWNET: Final = 0x40000000
SIOCETHTOOL: Final = 0x8946
ETHTOOL_STXCSUM: Final = 0x17
BUFFER_BYTES: Final = 64 * 1024 * 1024
"""Far more than a test sends before its socket is read."""

T = TypeVar("T")


def packet_socket(namespace: str, interface: str) -> socket.socket:
    """Open a socket that gets every frame that comes in at an interface, and sends frames there.

    Args:
        namespace: the interface's.
        interface: its name; of a bridge, everything that passes it comes in.
    """

    def opened() -> socket.socket:
        # Without a protocol it hears nothing before it is bound.
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        packets.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        packets.bind((interface, ETH_P_ALL))
        # Whomever it is for. It ends with the socket.
        index = socket.if_nametoindex(interface)
        everything = struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b"")
        packets.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everything)
        packets.setblocking(False)
        return packets

    return _within(namespace, opened)


def dropped_count(packets: socket.socket) -> int:
    """Count the frames for which a socket had no room since this was last asked."""
    _, dropped = struct.unpack("II", packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return int(dropped)


def leave_checksums_to_software(namespace: str, interface: str) -> None:
    """Let an interface send packets as they go over a cable: with checksums, of at most its MTU.

    Otherwise two ends of a virtual cable pass on up to 64 KiB at a time without a checksum.
    """
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0), 8)
    request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))

    def asked() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            ioctl(asking, SIOCETHTOOL, request)

    _within(namespace, asked)


def _within(namespace: str, do: Callable[[], T]) -> T:
    """Do something in a network namespace; a socket that is opened there stays there.

    A thread is moved, which ends: its process stays where it is.
    """

    def moved() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = os.open(Path("/run/netns", namespace), os.O_RDONLY)
        try:
            if libc.setns(handle, CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), namespace)
        finally:
            os.close(handle)
        return do()

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(moved).result()
