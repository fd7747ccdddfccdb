"""The calls of a node that receives, in their order: an acknowledgement leaves after the sync."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from softadastra.sync.messages import Ack, Batch, Bye, Message
from softadastra.sync.wire import decode
from softadastra.testing import LocalCluster, LocalNode, wait_until
from softadastra.types import PeerState, Value
from tests.faults.tracing import Call, calls_of, traced

DEADLINE_SECONDS = 60.0
WRITES = 300
BATCH_WRITES = 7

RECEIVING = {"recvfrom", "recvmsg", "read"}
SENDING = {"sendto", "sendmsg", "write", "writev"}
TRACED = f"trace={','.join(RECEIVING | SENDING)},pwrite64,fdatasync"
LONG, COMMAND = 2, 4
"""Flags of a ZMTP frame (ZMTP 3.0, section 3.2)."""


class Transfer(NamedTuple):
    """A message on a connection."""

    connection: str
    message: Message
    began: int
    ended: int


def messages_of(calls: Iterable[Call], names: set[str]) -> list[Transfer]:
    """Put the frames of each connection together. It is idle when the trace begins."""
    streams: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.name in names and call.target.startswith("TCP:") and call.data:
            streams[call.target].append(call)
    found = []
    for connection, parts in streams.items():
        stream = b"".join(part.data for part in parts)
        owners = [part for part in parts for _ in part.data]
        offset = 0
        while offset < len(stream):
            flags = stream[offset]
            head = 9 if flags & LONG else 2
            start = offset + head
            stop = start + int.from_bytes(stream[offset + 1 : start], "big")
            if stop > len(stream):
                break  # The trace ended in it.
            if not flags & COMMAND:
                message = decode(stream[start:stop])
                transfer = Transfer(
                    connection, message, owners[offset].began, owners[stop - 1].ended
                )
                found.append(transfer)
            offset = stop
    return found


def sent_acknowledgements(calls: Iterable[Call]) -> list[tuple[Transfer, Ack]]:
    return [
        (sent, sent.message)
        for sent in messages_of(calls, SENDING)
        if isinstance(sent.message, Ack)
    ]


def pairs_of(node: LocalNode) -> list[tuple[str, Value]]:
    return [(f"{node.node_id}/{n}", f"<{node.node_id} {n}>") for n in range(WRITES)]


@pytest.mark.parametrize("auto_flush", [True, False])
def test_every_acknowledgement_leaves_after_a_sync_that_came_after_the_write_of_its_batch(
    tmp_path: Path, auto_flush: bool
) -> None:
    log = tmp_path / "calls"
    with LocalCluster(3, directory=tmp_path, topology="line", auto_flush=auto_flush) as cluster:
        a, b, c = cluster.nodes
        with traced(b.pid, log, "-e", TRACED), ThreadPoolExecutor(2) as pool:
            writing = [
                pool.submit(node.put_many, pairs_of(node), batch_size=BATCH_WRITES)
                for node in (a, c)
            ]
            for each in writing:
                each.result(DEADLINE_SECONDS)
            # By node-b, which they meet; of each other they hear now and then.
            assert wait_until(
                lambda: all(node.sync_state().acknowledged_count == WRITES for node in (a, c)),
                DEADLINE_SECONDS,
            )

    calls = calls_of(log)
    wal = str(tmp_path / "node-b.wal")
    stored = [call for call in calls if call.name == "pwrite64" and call.target == wal]
    syncs = [call for call in calls if call.name == "fdatasync" and call.target == wal]
    batches = {
        (transfer.connection, transfer.message.id): transfer.message
        for transfer in messages_of(calls, RECEIVING)
        if isinstance(transfer.message, Batch)
    }
    acknowledged = set()
    for sent, acknowledgement in sent_acknowledgements(calls):
        for batch_id in acknowledgement.batches:
            batch = batches[sent.connection, batch_id]
            for value in batch.columns[4]:
                written = next(call for call in stored if value in call.data)
                assert any(
                    written.ended < sync.began and sync.ended < sent.began and sync.result == 0
                    for sync in syncs
                ), f"batch {batch_id} was acknowledged before it was durable"
                acknowledged.add(value)
    assert len(acknowledged) == 2 * WRITES


def test_a_node_whose_sync_of_a_batch_failed_takes_leave_and_acknowledges_nothing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "calls"
    with LocalCluster(2, directory=tmp_path) as cluster:
        a, b = cluster.nodes
        a.put("before", 1)
        assert a.wait_synced(DEADLINE_SECONDS)
        with traced(b.pid, log, "-e", TRACED, "-e", "inject=fdatasync:error=EIO"):
            a.put("lost", "<value>")
            assert wait_until(
                lambda: a.peers()[0].state is not PeerState.CONNECTED, DEADLINE_SECONDS
            )
        assert a.sync_state().acknowledged_count == 1
        assert "wal.failed" in (tmp_path / "node-b.log").read_text()
        assert (b.get("before"), b.get("lost")) == (1, None)

        b.kill()
        b.restart()
        assert a.wait_synced(DEADLINE_SECONDS)
        assert b.get("lost") == "<value>"
        assert cluster.judge().is_clean

    calls = calls_of(log)
    assert [call.result for call in calls if call.name == "fdatasync"] == [-1]
    assert any(b"<value>" in call.data for call in calls if call.name == "recvfrom")
    assert any(isinstance(sent.message, Bye) for sent in messages_of(calls, SENDING))
    assert [batch for _, ack in sent_acknowledgements(calls) for batch in ack.batches] == []
