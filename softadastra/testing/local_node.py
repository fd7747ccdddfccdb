"""One node in a process of its own: the calls of a client, and the faults of a process.

Every write is recorded in a history with its outcome: a node that died while it was asked has
perhaps done what it was asked, and perhaps not.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack

from softadastra.errors import SoftadastraError, StorageError, TransportError
from softadastra.packing import check_key, pack_value
from softadastra.store.values import unpack_value
from softadastra.testing.child_process import ChildProcess, ProcessState
from softadastra.testing.history import Outcome, Write, WriteHistory
from softadastra.testing.node_messages import (
    packed_from_text,
    packed_to_text,
    peer_status_from_json,
    sync_state_from_json,
)
from softadastra.types import Peer, PeerStatus, PutResult, SyncState, TickResult, Value

__all__ = ["LocalNode"]

BATCH_WRITES = 1000
"""Writes in one command of `put_many`, and in one record of the node's log. At 1,000 the fsync
is a small part of the time already."""

SIZE_UNCHECKED = sys.maxsize
"""The node measures keys and values itself, by its own options."""


class LocalNode:
    """A node of a `LocalCluster`, which makes it and closes it.

    Args:
        node_id: its name.
        directory: of its log and of what it tells.
        options: further fields of `ClientOptions`.
        log_level: of what it tells.
        history: where writes are recorded.
        host: where others reach it.
        listen_on: the address that it listens on; empty: that very one.
        port: where it listens; 0: the system picks one, which it keeps.
        launcher: what its program is started by, as ("ip", "netns", "exec", "namespace").

    The calls that a `Client` has do the same in the node's process, take and return the same
    values and raise the same errors. Each also raises:

    - InvalidStateError when the node is paused or killed;
    - TransportError when its process ends before it answers, or does not answer for 60 s.

    Safe to use from any thread; requests to one node wait for each other, `kill()` does not.
    """

    def __init__(
        self,
        node_id: str,
        directory: Path,
        *,
        options: Mapping[str, object],
        log_level: str,
        history: WriteHistory,
        host: str = "127.0.0.1",
        listen_on: str = "",
        port: int = 0,
        launcher: Sequence[str] = (),
    ) -> None:
        self.node_id = node_id
        self._host = host
        self._listen_on = listen_on or host
        self._launcher = launcher
        self._directory = directory
        self._options = options
        self._log_level = log_level
        self._history = history
        self._process = ChildProcess(node_id, directory / f"{node_id}.log")
        self._neighbours: dict[str, LocalNode] = {}
        self._port = port
        self._order = threading.Lock()
        """Held over a write and its record, so that the history has the order of the node."""

    @property
    def state(self) -> ProcessState:
        """Whether the process is running, paused or killed at this moment."""
        return self._process.state

    @property
    def pid(self) -> int:
        """The process id, also after the process ended."""
        return self._process.pid

    @property
    def address(self) -> Peer:
        """Where other nodes reach it; the same after a restart."""
        return Peer(self.node_id, self._host, self._port)

    def put(self, key: str, value: Value) -> PutResult:
        """Store one value; returns when it is durable on the node."""
        return self._put([(key, value)])[0]

    def put_many(
        self, items: Iterable[tuple[str, Value]], *, batch_size: int = BATCH_WRITES
    ) -> list[PutResult]:
        """Store values in order, each batch as one atomic record (`Client.batch`).

        Args:
            items: keys and values, as `dict.items()` gives them.
            batch_size: writes a batch. An error leaves the batches before it done, and those
                behind it untried.
        """
        pairs = list(items)
        return [
            result
            for start in range(0, len(pairs), batch_size)
            for result in self._put(pairs[start : start + batch_size])
        ]

    def remove(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        write = Write(self.node_id, check_key(key, max_bytes=SIZE_UNCHECKED), None, Outcome.UNKNOWN)
        with self._order:
            replaced = self._write([write], "remove", key=key)
            if replaced is not None:
                self._history.record([write._replace(outcome=Outcome.ACCEPTED, replaced=replaced)])
        return replaced is not None

    def get(self, key: str, default: Value = None) -> Value:
        """Give the value of a key, or the default."""
        text = self._process.request("get", key=key)
        return default if text is None else unpack_value(packed_from_text(text))

    def items(self) -> dict[str, Value]:
        """Give all live keys, in order, with their values."""
        return {key: unpack_value(packed) for key, packed in self.packed_items().items()}

    def packed_items(self) -> dict[str, bytes]:
        """Give all live keys, in order, with their values as packed in the store."""
        with tempfile.NamedTemporaryFile(dir=self._directory) as file:
            self._process.request("items", path=file.name)
            return dict(msgpack.Unpacker(file, use_list=False))

    def size(self) -> int:
        """Count the live keys."""
        count: int = self._process.request("size")
        return count

    def digest(self) -> str:
        """Give the hash of the replicated state, in hex."""
        digest: str = self._process.request("digest")
        return digest

    def sync_state(self) -> SyncState:
        """Give the state of the outbox."""
        return sync_state_from_json(self._process.request("sync_state"))

    def peers(self) -> list[PeerStatus]:
        """Give the peers that the node knows."""
        return [peer_status_from_json(status) for status in self._process.request("peers")]

    def connect(self, other: LocalNode) -> None:
        """Dial another node. After a restart each of the two dials the other by itself.

        Raises:
            TransportError: the other does not answer; it is dialled again in the background.
        """
        self._neighbours[other.node_id] = other
        other._neighbours[self.node_id] = self
        self._process.request("connect", peer=str(other.address))

    def wait_synced(self, timeout: float) -> bool:
        """Wait until every member has this node's writes; False when the seconds ran out."""
        is_synced: bool = self._process.request("wait_synced", allowance=timeout, timeout=timeout)
        return is_synced

    def tick(self, *, prune: bool = False) -> TickResult:
        """Send what is due; with `prune`, drop acknowledged writes from the outbox."""
        return TickResult(**self._process.request("tick", prune=prune))

    def pause(self) -> None:
        """Stop the process (SIGSTOP) between two requests; it stands still on return.

        Raises:
            InvalidStateError: it is not running.
        """
        self._process.pause()

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT).

        Raises:
            InvalidStateError: it is not paused.
        """
        self._process.resume()

    def kill(self) -> None:
        """End the process at once (SIGKILL), also in the middle of a request, or paused.

        The request under way raises TransportError in its own thread.
        """
        self._process.kill()

    def start(self) -> None:
        """Start the process, and return before it is ready: see `wait_ready()`.

        Raises:
            InvalidStateError: it is there already.
        """
        own: dict[str, object] = {
            "node_id": self.node_id,
            "wal_path": str(self._directory / f"{self.node_id}.wal"),
            "enable_transport": True,
            "transport_host": self._listen_on,
            "transport_port": self._port,
            "peers": [str(neighbour.address) for neighbour in self._neighbours.values()],
        }
        options = json.dumps({**self._options, **own})
        module = "softadastra.testing.process_node"
        self._process.start(
            [*self._launcher, sys.executable, "-m", module, options, self._log_level]
        )

    def wait_ready(self) -> None:
        """Wait until the started process has its client open and its port bound.

        Raises:
            SoftadastraError: its client could not be opened, for the reason given.
        """
        self._port = self._process.ready()["port"]

    def restart(self) -> None:
        """Start a killed or closed node again, on the same files and port, and wait for it.

        It dials all nodes that it was ever connected to.
        """
        self.start()
        self.wait_ready()

    def close(self) -> None:
        """Close the node's client and end its process; a paused one goes on first. Idempotent.

        Raises:
            InternalError: the process ended with an error.
        """
        self._process.close()

    def _put(self, pairs: Sequence[tuple[str, Value]]) -> list[PutResult]:
        writes = [
            Write(
                self.node_id,
                check_key(key, max_bytes=SIZE_UNCHECKED),
                pack_value(value, max_bytes=SIZE_UNCHECKED),
                Outcome.UNKNOWN,
            )
            for key, value in pairs
        ]
        sent = [(write.key, packed_to_text(write.packed or b"")) for write in writes]
        with self._order:
            rows = self._write(writes, "put", writes=sent)
            results = [PutResult(key, *row[:-1]) for (key, _), row in zip(sent, rows, strict=True)]
            self._history.record(
                write._replace(outcome=Outcome.ACCEPTED, sync_id=result.sync_id, replaced=row[-1])
                for write, result, row in zip(writes, results, rows, strict=True)
            )
        return results

    def _write(self, pending: Sequence[Write], command: str, **arguments: Any) -> Any:
        """Ask for writes, and record them as unknown when no one can tell what became of them."""
        try:
            return self._process.request(command, **arguments)
        except BaseException as error:
            # A refused write has changed nothing. After a failed fsync, an end without an
            # answer, or Ctrl-C here, it may be there.
            is_refused = isinstance(error, SoftadastraError) and not isinstance(
                error, (TransportError, StorageError)
            )
            if not is_refused:
                self._history.record(pending)
            raise
