"""The log of a simulated node, as the file that it would be."""

from __future__ import annotations

from softadastra.sync.kinds import Kind
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    KIND_MARK,
    Header,
    encode_file_header,
    encode_frame,
)
from tests.engines import Node

__all__ = ["file_of"]


def file_of(node: Node) -> bytes:
    """Give the bytes of a node's log, each frame synced after it was written.

    What it was rewritten as got its name when all of it was durable.
    """
    kinds = [kind for kind, _ in node.log]
    whole = kinds.index(Kind.RELEASED) + 1 if kinds[0] == Kind.HISTORY else 0
    log = [*node.log, (KIND_MARK, b"")]
    if whole:
        log.insert(whole, (KIND_MARK, b""))
    data = encode_file_header(
        Header(
            node_id=node.name,
            incarnation=node.incarnation,
            generation=2 if whole else 1,
        )
    )
    seed = chain = int.from_bytes(data[-4:], "little")
    for sequence, (kind, payload) in enumerate(log, 1):
        mark = len(data) if sequence > whole else FILE_HEADER_BYTES
        frame, chain = encode_frame(
            kind, payload, sequence=sequence, mark=mark, seed=seed, chain=chain
        )
        data += frame
    return data
