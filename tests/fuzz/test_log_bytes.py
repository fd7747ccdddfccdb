"""A log of any bytes opens to a prefix of what was written, or is refused and left as it is."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softadastra.errors import StoreError
from softadastra.wal.frames import FILE_HEADER_BYTES, FRAME_HEADER_BYTES, encode_frame
from tests.fuzz.shapes import mangled
from tests.wal.logs import EACH_SYNCED, RECORDS, image_of, records_of

FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    return image_of(tmp_path, EACH_SYNCED)


def opened_or_refused(path: Path, content: bytes) -> None:
    for torn in path.parent.glob("*.torn-*"):
        torn.unlink()
    path.write_bytes(content)
    try:
        found = records_of(path)
    except StoreError:
        assert path.read_bytes() == content
        return
    assert found == RECORDS[: len(found)]


@settings(suppress_health_check=FIXTURE)
@given(data=st.data())
def test_a_mangled_log_opens_to_a_prefix_or_is_refused(image, tmp_path, data):
    """Offsets within the frames are drawn apart: the header is a hundred times longer."""
    front, frames = image[:FILE_HEADER_BYTES], image[FILE_HEADER_BYTES:]
    if data.draw(st.booleans()):
        front = data.draw(mangled(st.just(front)))
    else:
        frames = data.draw(mangled(st.just(frames)))

    opened_or_refused(tmp_path / "node-a.wal", front + frames)


@settings(suppress_health_check=FIXTURE)
@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_a_torn_tail_or_damage(image, tmp_path, content):
    opened_or_refused(tmp_path / "node-a.wal", image[:FILE_HEADER_BYTES] + content)


@settings(suppress_health_check=FIXTURE)
@given(
    kind=st.integers(0, 255),
    length=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**64 - 1),
    mark=st.integers(0, 2**64 - 1),
    rest=st.binary(max_size=40),
)
def test_a_header_with_a_right_checksum_may_claim_anything(
    image, tmp_path, kind, length, sequence, mark, rest
):
    """Of this very log: what it claims is neither read nor allocated."""
    seed = struct.unpack_from("<I", image, FILE_HEADER_BYTES - 4)[0]
    frame, _ = encode_frame(kind, b"", sequence=sequence, mark=mark, seed=seed, chain=seed)
    fields = bytearray(frame[: FRAME_HEADER_BYTES - 4])
    fields[4:8] = struct.pack("<I", length)
    claimed = bytes(fields) + struct.pack("<I", crc32(fields, seed)) + rest

    opened_or_refused(tmp_path / "node-a.wal", image[:FILE_HEADER_BYTES] + claimed)
    opened_or_refused(tmp_path / "node-a.wal", image + claimed)
