"""The bare counterpart of replication: DEALER to ROUTER, a dict, one fdatasync a batch.

Batches of 1,024 writes, 16 of them on the way. The receiver unpacks, applies, writes the batch
with its checksum into space allocated ahead, syncs, and acknowledges each batch.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack
import zmq

from .bare import FRAME, ORIGIN, RECORD_BYTES, STAMP, allocate, sync
from .processes import Channel, Child
from .workload import DEADLINE_SECONDS, writes

__all__ = ["replicate"]

BATCH_WRITES = 1024
WINDOW_BATCHES = 16

_DEADLINE_MS = int(DEADLINE_SECONDS * 1000)
_ACKNOWLEDGEMENT = struct.Struct("<I")


def replicate(directory: Path, count: int) -> float:
    """Send `count` writes from one process to another; writes per second, from connect to ACK."""
    with Child(_receiver, directory, count) as receiver, Child(_sender, count) as sender:
        port = receiver.receive()
        sender.receive()
        sender.send(port)
        seconds = float(sender.receive())
        applied = receiver.receive()
        if applied != count:
            raise RuntimeError(f"the bare receiver holds {applied} of {count} writes")
    return count / seconds


def _receiver(channel: Channel[Any, Any], directory: Path, count: int) -> None:
    state: dict[str, tuple[str, int, int, int]] = {}
    file = os.open(directory / "bare.log", os.O_RDWR | os.O_CREAT, 0o600)
    allocate(file, count * (RECORD_BYTES + FRAME.size))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.set(zmq.LINGER, 1000)
        socket.set(zmq.RCVTIMEO, _DEADLINE_MS)
        channel.send(socket.bind_to_random_port("tcp://127.0.0.1"))
        offset = 0
        batches = 0
        while len(state) < count:
            identity, batch = socket.recv_multipart()
            for origin, n, stamp, key, value in msgpack.unpackb(batch, use_list=False):
                state[key] = (value, origin, n, stamp)
            offset += os.pwrite(file, FRAME.pack(len(batch), crc32(batch)) + batch, offset)
            sync(file)
            batches += 1
            socket.send_multipart((identity, _ACKNOWLEDGEMENT.pack(batches)))
    os.close(file)
    channel.send(len(state))


def _sender(channel: Channel[Any, Any], count: int) -> None:
    records = [(ORIGIN, n, STAMP + n, key, value) for n, (key, value) in enumerate(writes(count))]
    pack = msgpack.Packer().pack
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, _DEADLINE_MS)
        channel.send("ready")
        port = channel.recv()
        start = time.perf_counter()
        socket.connect(f"tcp://127.0.0.1:{port}")
        sent = 0
        acknowledged = 0
        for first in range(0, count, BATCH_WRITES):
            if sent - acknowledged == WINDOW_BATCHES:
                (acknowledged,) = _ACKNOWLEDGEMENT.unpack(socket.recv())
            socket.send(pack(records[first : first + BATCH_WRITES]))
            sent += 1
        while acknowledged < sent:
            (acknowledged,) = _ACKNOWLEDGEMENT.unpack(socket.recv())
        channel.send(time.perf_counter() - start)
