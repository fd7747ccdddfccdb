"""The program of one node: opens a client and does what its parent asks, until its input ends.

    python -m softadastra.testing.process_node OPTIONS LOG_LEVEL

OPTIONS is a JSON object of `ClientOptions` fields. Commands come on standard input and answers
go to standard output, one JSON object a line (`node_messages.py`); the first line says the
node's id, port and pid, or why it could not open. Events go to standard error as JSON lines.
At the end of the input the client is closed: a parent that dies takes its nodes with it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgpack

from softadastra import Client, ClientOptions, configure_logging
from softadastra.errors import SoftadastraError
from softadastra.packing import pack_value
from softadastra.store.values import unpack_value
from softadastra.testing.node_messages import (
    READY_ID,
    error_to_json,
    packed_from_text,
    packed_to_text,
    sync_state_to_json,
)
from softadastra.types import Peer

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run the node.

    Args:
        arguments: the options as JSON, and the level of the events.

    Returns:
        The exit status: 0 after a clean close, 1 when the client could not be opened.
    """
    options, log_level = arguments
    configure_logging(log_level, "json")
    client = Client(ClientOptions(**json.loads(options)))
    with closing(client):
        try:
            client.open()
            client.start_transport()
            if client.options.enable_discovery:
                client.start_discovery()
        except SoftadastraError as error:
            _answer(READY_ID, error=error_to_json(error))
            return 1
        ready = {"node_id": client.node_info().node_id, "port": client.transport_port}
        _answer(READY_ID, result={**ready, "pid": os.getpid()})
        for line in sys.stdin.buffer:
            command = json.loads(line)
            try:
                result = _do(client, command)
            except SoftadastraError as error:
                _answer(command["id"], error=error_to_json(error))
            else:
                _answer(command["id"], result=result)
    return 0


def _answer(command_id: int, **outcome: object) -> None:
    sys.stdout.write(json.dumps({"id": command_id, **outcome}) + "\n")
    sys.stdout.flush()


def _do(client: Client, command: Mapping[str, Any]) -> Any:
    match command["command"]:
        case "put":
            return _put(client, command["writes"])
        case "remove":
            held = client.entry(command["key"])
            return held.sync_id if client.remove(command["key"]) and held else None
        case "get":
            held = client.entry(command["key"])
            return None if held is None else packed_to_text(_packed(held.value))
        case "items":
            return _write_items(client, Path(command["path"]))
        case "size":
            return client.size()
        case "digest":
            return client.digest()
        case "sync_state":
            return sync_state_to_json(client.sync_state())
        case "peers":
            return [asdict(status) for status in client.peers()]
        case "connect":
            return str(client.connect(Peer.parse(command["peer"])))
        case "wait_synced":
            return client.wait_synced(command["timeout"])
        case "tick":
            return asdict(client.tick(prune=command["prune"]))
        case unknown:
            raise ValueError(f"unknown command {unknown!r}")


def _put(client: Client, writes: Sequence[tuple[str, str]]) -> list[list[object]]:
    """Store values; per write the fields of its `PutResult` but the key, and what it replaced.

    What a key held just before is superseded by the write, also if more arrived meanwhile. A
    put of the very value that the key holds replaces nothing.
    """
    pairs = [(key, unpack_value(packed_from_text(text))) for key, text in writes]
    held = [client.entry(key) for key, _ in pairs]
    with client.batch() as batch:
        for key, value in pairs:
            batch.put(key, value)
    return [
        [*result[1:], entry.sync_id if entry and result.status != "unchanged" else ""]
        for result, entry in zip(batch.results, held, strict=True)
        if result is not None
    ]


def _write_items(client: Client, path: Path) -> int:
    """Write all live keys and packed values as MessagePack pairs; returns how many."""
    packer = msgpack.Packer()
    count = 0
    with path.open("wb") as file:
        for key, value in client.items():
            file.write(packer.pack((key, _packed(value))))
            count += 1
    return count


def _packed(value: object) -> bytes:
    return pack_value(value, max_bytes=sys.maxsize)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
