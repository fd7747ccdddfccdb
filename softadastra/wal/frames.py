"""The bytes of a write-ahead log: its header and its frames.

Pure: bytes in, values out. All integers are little-endian; `docs/wal-format.md` repeats the
drawings. The checksums are CRC-32: they find damage, not forgery.

A frame belongs to one file: its header's CRC starts from the CRC of the file header (the
seed), so a frame of another node, incarnation or generation is none here. It belongs to one
place in that file: its last CRC goes on from the last CRC of the frame before it (the chain),
and the chain begins with the seed. So the four bytes in front of any frame are what its own
chain starts from, and a frame behind a damaged one can still be verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from softadastra.errors import InvalidArgumentError, StoreError, WalCorruptionError

__all__ = [
    "FILE_HEADER_BYTES",
    "FORMAT_VERSION",
    "FRAME_HEADER",
    "FRAME_HEADER_BYTES",
    "FRAME_OVERHEAD_BYTES",
    "FRAME_TRAILER",
    "KIND_MARK",
    "KIND_SHIFT",
    "MARKER",
    "NODE_ID_BYTES_MAX",
    "PAYLOAD_BYTES_MAX",
    "End",
    "FrameHeader",
    "Header",
    "Record",
    "beginning",
    "decode_file_header",
    "decode_frame_header",
    "encode_file_header",
    "encode_frame",
    "encode_frames",
    "seed_of",
]

MAGIC: Final = b"\x89SADWAL\n"
"""As PNG's: a byte that is no text, the name, and a line end that a text mode would change."""

FORMAT_VERSION: Final = 1
"""Rises with any change that an older reader would misread."""

FILE_HEADER_BYTES: Final = 4096
"""One block of its own on any disk in use, so that no frame is ever written into it."""

NODE_ID_BYTES_MAX: Final = 1024
"""UTF-8 bytes of a node id; the same limit as a key's by default."""

PAYLOAD_BYTES_MAX: Final = 2**30
"""1 GiB in one frame: 1,024 of the largest values by default. Bounds what recovery allocates."""

KIND_MARK: Final = 0
"""A frame without a payload that only carries a durable mark; written by the log on close."""

MARKER: Final = b"\xf5\xda\x7a"
"""Begins each frame, for the search behind a damaged one. 0xf5 never occurs in UTF-8 text."""

_U64_MAX: Final = 2**64 - 1

Record: TypeAlias = tuple[int, bytes]
"""The kind and the payload of a frame."""


class End(NamedTuple):
    """Where the intact frames of a log end, and what the next one goes on from."""

    offset: int
    sequence: int
    """Of the last frame, 0 when there is none."""
    chain: int
    mark: int
    """The durable mark of the last frame; the highest of all, because marks only rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Whose log a file is.

    Args:
        node_id: 1 to NODE_ID_BYTES_MAX bytes of UTF-8.
        incarnation: 64 bits, drawn when the file was created.
        generation: 64 bits; 1 for a new log, and one more each time it is rewritten.

    Raises:
        InvalidArgumentError: a value is out of range.
    """

    node_id: str
    incarnation: int
    generation: int

    def __post_init__(self) -> None:
        # A lone surrogate has no UTF-8 form; "replace" makes it "?", which differs.
        encoded = self.node_id.encode(errors="replace")
        if not 1 <= len(encoded) <= NODE_ID_BYTES_MAX or encoded.decode() != self.node_id:
            raise InvalidArgumentError(
                f"a node id has 1 to {NODE_ID_BYTES_MAX} bytes of UTF-8, got {self.node_id!r}: "
                "choose another node_id",
                node_id=self.node_id,
            )
        for name, value in (("incarnation", self.incarnation), ("generation", self.generation)):
            if not 0 <= value <= _U64_MAX:
                raise InvalidArgumentError(
                    f"{name} has 64 bits, got {value}: pass 0 to 2**64 - 1", **{name: value}
                )

    @property
    def is_rewritten(self) -> bool:
        """Whether the file was begun in place of another one, and not as an empty log."""
        return self.generation > 1


class FrameHeader(NamedTuple):
    """The front of a frame, whose own CRC is right."""

    kind: int
    length: int
    """Bytes of the payload."""
    sequence: int
    mark: int
    """The file was known durable up to this offset when the frame was written."""


# The file header, one block:
#
#       0        8        12       16       24       32                        4092     4096
#      +--------+--------+--------+--------+--------+------------+------------+--------+
#      | magic  | format | node   | incar- | gener- | node id    | zeros      | CRC    |
#      | 8      | u32    | id     | nation | ation  | UTF-8      |            | u32    |
#      |        |        | length | u64    | u64    |            |            |        |
#      |        |        | u32    |        |        |            |            |        |
#      +--------+--------+--------+--------+--------+------------+------------+--------+
#
# The CRC is of all bytes before it; it is the seed. The size of the block and the places of
# magic, format and CRC are the same in every format to come, so that an older program can
# tell a newer file from a damaged one.
_FILE_HEADER: Final = Struct("<8sIIQQ")
_CRC: Final = Struct("<I")


def encode_file_header(header: Header) -> bytes:
    """Give the block that a log begins with."""
    node_id = header.node_id.encode()
    fields = _FILE_HEADER.pack(
        MAGIC, FORMAT_VERSION, len(node_id), header.incarnation, header.generation
    )
    block = (fields + node_id).ljust(FILE_HEADER_BYTES - _CRC.size, b"\0")
    return block + _CRC.pack(crc32(block))


def seed_of(block: bytes) -> int:
    """Give the seed of the frames behind this block."""
    seed: int
    (seed,) = _CRC.unpack_from(block, FILE_HEADER_BYTES - _CRC.size)
    return seed


def decode_file_header(block: bytes, path: Path) -> tuple[Header, int]:
    """Read the block that a log begins with.

    Args:
        block: the first FILE_HEADER_BYTES of the file, or all of a shorter one.
        path: the file, for the message of an error.

    Returns:
        The header, and the seed of its frames.

    Raises:
        StoreError: the file is no log, or one of another format.
        WalCorruptionError: the file is a log, and its header is damaged.
    """
    if not block.startswith(MAGIC):
        raise StoreError(
            f"{path} is not a Softadastra write-ahead log: expected it to begin with {MAGIC!r}, "
            f"found {block[: len(MAGIC)]!r}; it was left as it is, choose another path",
            path=str(path),
        )
    if len(block) < FILE_HEADER_BYTES:
        raise _header_damage(path, f"it has {FILE_HEADER_BYTES} bytes, the file {len(block)}")
    seed = seed_of(block)
    if crc32(block[: -_CRC.size]) != seed:
        raise _header_damage(path, "its CRC is wrong")
    _, format_version, length, incarnation, generation = _FILE_HEADER.unpack_from(block)
    if format_version != FORMAT_VERSION:
        raise StoreError(
            f"{path} has log format {format_version}, and this version of Softadastra reads "
            f"format {FORMAT_VERSION}: open it with the version that wrote it, or a later one",
            path=str(path),
            found=format_version,
            expected=FORMAT_VERSION,
        )
    try:
        node_id = block[_FILE_HEADER.size : _FILE_HEADER.size + length].decode()
        header = Header(node_id=node_id, incarnation=incarnation, generation=generation)
    except (UnicodeDecodeError, InvalidArgumentError) as error:
        raise _header_damage(path, "its node id is none") from error
    return header, seed


# A frame:
#
#       0        3      4        8          16         24         28              28 + length
#      +--------+------+--------+----------+----------+----------+---------------+-----------+
#      | marker | kind | length | sequence | durable  | header   | payload       | frame CRC |
#      | 3      | u8   | u32    | u64      | mark u64 | CRC u32  | length bytes  | u32       |
#      +--------+------+--------+----------+----------+----------+---------------+-----------+
#      |<------- header CRC, from the seed ---------->|          |               |           |
#      |<------------- frame CRC, from the frame CRC of the frame before ------->|           |
#
# The frame CRC covers the header too, so that reading an intact log needs one CRC a frame; the
# header's own is for looking past a frame that is not intact.
_FRAME_FIELDS: Final = Struct("<IIQQ")
FRAME_HEADER: Final = Struct("<IIQQI")
"""Marker with kind, length, sequence, durable mark, header CRC."""
FRAME_TRAILER: Final = _CRC
FRAME_HEADER_BYTES: Final = FRAME_HEADER.size
FRAME_OVERHEAD_BYTES: Final = FRAME_HEADER_BYTES + FRAME_TRAILER.size
_MARKER_BITS: Final = int.from_bytes(MARKER, "little")
KIND_SHIFT: Final = 8 * len(MARKER)
"""Where the kind is in the first field of FRAME_HEADER."""
# Bound methods: an append packs twice, and each lookup would cost it as much as the packing.
_pack_fields: Final = _FRAME_FIELDS.pack
_pack_crc: Final = _CRC.pack


def encode_frame(
    kind: int, payload: bytes, sequence: int, mark: int, seed: int, chain: int
) -> tuple[bytes, int]:
    """Give the bytes of a frame, and the chain that the next one goes on from.

    Args:
        kind: KIND_MARK, or 1 to 255 with the caller's meaning.
        payload: at most PAYLOAD_BYTES_MAX bytes.
        sequence: one more than that of the frame before; 1 in the first.
        mark: the offset up to which the file is known durable.
        seed: from the file header.
        chain: from the frame before; the seed in the first.

    Raises:
        InvalidArgumentError: the payload is too large.
    """
    length = len(payload)
    if length > PAYLOAD_BYTES_MAX:
        raise InvalidArgumentError(
            f"a record has at most {PAYLOAD_BYTES_MAX} bytes, got {length}: write fewer values "
            "in one batch",
            size_bytes=length,
        )
    fields = _pack_fields(_MARKER_BITS | kind << KIND_SHIFT, length, sequence, mark)
    frame = fields + _pack_crc(crc32(fields, seed)) + payload
    chain = crc32(frame, chain)
    return frame + _pack_crc(chain), chain


def encode_frames(records: Iterable[Record], end: End, *, seed: int) -> tuple[bytes, End]:
    """Give the bytes of frames that go on from an end, with its durable mark, and their own end.

    Raises:
        InvalidArgumentError: a payload is too large.
    """
    offset, sequence, chain, mark = end
    frames = []
    for kind, payload in records:
        sequence += 1
        frame, chain = encode_frame(
            kind, payload, sequence=sequence, mark=mark, seed=seed, chain=chain
        )
        frames.append(frame)
    data = b"".join(frames)
    return data, End(offset + len(data), sequence, chain, mark)


def beginning(seed: int) -> End:
    """Give what the first frame of a file goes on from."""
    return End(FILE_HEADER_BYTES, 0, seed, FILE_HEADER_BYTES)


def decode_frame_header(data: bytes, position: int, seed: int) -> FrameHeader | None:
    """Read the header of a frame of this file, or None when there is none at the position."""
    if position + FRAME_HEADER_BYTES > len(data):
        return None
    tag, length, sequence, mark, header_crc = FRAME_HEADER.unpack_from(data, position)
    fields = data[position : position + _FRAME_FIELDS.size]
    if (
        tag & ~(0xFF << KIND_SHIFT) != _MARKER_BITS
        or length > PAYLOAD_BYTES_MAX
        or header_crc != crc32(fields, seed)
    ):
        return None
    return FrameHeader(tag >> KIND_SHIFT, length, sequence, mark)


def _header_damage(path: Path, found: str) -> WalCorruptionError:
    return WalCorruptionError(
        f"the header of {path} is damaged: {found}; nothing was changed: restore a backup, or "
        "move the file away and let the peers fill a new one",
        path=str(path),
        offset=0,
    )
