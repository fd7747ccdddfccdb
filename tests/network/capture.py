"""Everything that passes the switch of a network, as somebody with a cable in it would see it."""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.network.namespaces import BRIDGE, Network
from tests.network.packets import FRAME_BYTES_MAX, dropped_count, packet_socket

__all__ = ["Capture", "capturing"]

ETHERNET_BYTES = 14
IPV4, TCP = b"\x08\x00", 6
SYN = 0x02


class Capture:
    """Frames, in the order in which they came.

    Args:
        packets: what hears them.
    """

    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets
        self._frames: list[bytes] = []

    def take(self) -> None:
        """Take what was heard until now; fails when not everything could be heard."""
        while True:
            try:
                self._frames.append(self._packets.recv(FRAME_BYTES_MAX))
            except BlockingIOError:
                break
        assert dropped_count(self._packets) == 0

    def found(self, words: Iterable[bytes]) -> set[bytes]:
        """Give those words that are in a frame, or in what a TCP connection carries one way."""
        places = [*self._frames, *self.streams()]
        return {word for word in words if any(word in place for place in places)}

    def streams(self) -> list[bytes]:
        """Put together what each TCP connection has carried, each way by itself."""
        begins: dict[bytes, int] = {}
        pieces: defaultdict[bytes, dict[int, bytes]] = defaultdict(dict)
        for flow, sequence, flags, payload in map(_segment, filter(_is_tcp, self._frames)):
            if flags & SYN:
                begins[flow] = sequence + 1
            elif payload:
                pieces[flow][(sequence - begins[flow]) % 2**32] = payload
        return [_joined(pieces[flow]) for flow in pieces]


@contextmanager
def capturing(network: Network) -> Iterator[Capture]:
    """Hear everything that passes the switch; it is taken at the end of the block at the latest."""
    with packet_socket(network.switch, BRIDGE) as packets:
        capture = Capture(packets)
        yield capture
        capture.take()


def _is_tcp(frame: bytes) -> bool:
    return frame[12:ETHERNET_BYTES] == IPV4 and frame[ETHERNET_BYTES + 9] == TCP


def _segment(frame: bytes) -> tuple[bytes, int, int, bytes]:
    """Give the flow of a TCP segment (addresses and ports), its number, its flags, what it brings.

    RFC 791 section 3.1 and RFC 9293 section 3.1. A short frame is padded, so its end is not that of
    the packet.
    """
    packet = frame[ETHERNET_BYTES:]
    packet = packet[: int.from_bytes(packet[2:4], "big")]
    segment = packet[4 * (packet[0] & 0x0F) :]
    sequence, _, offset, flags = struct.unpack_from(">IIBB", segment, 4)
    return packet[12:20] + segment[:4], sequence, flags, segment[4 * (offset >> 4) :]


def _joined(pieces: dict[int, bytes]) -> bytes:
    """Put pieces in order; one that came again is a copy of what is there."""
    stream = bytearray()
    for place, piece in sorted(pieces.items()):
        assert place <= len(stream), "a part of the stream was not captured"
        stream[place : place + len(piece)] = piece
    return bytes(stream)
