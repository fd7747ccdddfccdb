"""Every frame of a damaged log that can be proven is given, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from softadastra.wal import OsDisk, recovery
from softadastra.wal.disk import File
from softadastra.wal.frames import FILE_HEADER_BYTES, FRAME_HEADER_BYTES
from softadastra.wal.log_file import read_log_file
from softadastra.wal.recovery import READ_BYTES
from softadastra.wal.salvaging import Ending, Frame, Gap, walk

from .logs import EACH_SYNCED, RECORDS, boundaries, image_of, opened

Found = list[Frame | Gap]


def walked(path: Path) -> tuple[Found, Ending]:
    """Walk a log; give what is found, and how it ends."""
    file, _, seed = read_log_file(OsDisk(), path)
    with closing(file):
        *found, ending = walk(file, seed)
    assert isinstance(ending, Ending)
    return [item for item in found if not isinstance(item, Ending)], ending


def frames(found: Found) -> list[Frame]:
    return [item for item in found if isinstance(item, Frame)]


def gaps(found: Found) -> list[Gap]:
    return [item for item in found if isinstance(item, Gap)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.wal"


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    """A log of five records, with marks that say of all but the last that they were durable."""
    return image_of(tmp_path, [*EACH_SYNCED, [(9, b"the last")]])


def test_an_intact_log_is_given_as_it_is(path: Path, image: bytes) -> None:
    path.write_bytes(image)
    found, ending = walked(path)

    assert [(f.kind, f.payload) for f in frames(found)] == [*RECORDS, (9, b"the last")]
    assert [f.offset for f in frames(found)] == boundaries([*RECORDS, (9, b"the last")])[:-1]
    assert not gaps(found)
    assert ending == (len(image), 6, ending.mark, 0)


def test_whatever_byte_is_flipped_no_other_frame_is_lost(path: Path, image: bytes) -> None:
    """But for the next one, when its chain and the payload in front of that are both damaged."""
    starts = boundaries([*RECORDS, (9, b"the last")])
    for offset in range(FILE_HEADER_BYTES, starts[5]):
        data = bytearray(image)
        data[offset] ^= 0x40
        path.write_bytes(data)
        found, _ = walked(path)
        hit = next(i for i in range(5) if starts[i] <= offset < starts[i + 1])
        left = frames(found)

        if offset >= starts[hit + 1] - 4:
            assert [f.sequence for f in left] == [1, 2, 3, 4, 5, 6]
            assert [f.sequence for f in left if f.is_mended] == [hit + 1]
        else:
            assert [f.sequence for f in left] == [i for i in range(1, 7) if i != hit + 1]
            (gap,) = gaps(found)
            assert (gap.offset, gap.end) == (starts[hit], starts[hit + 1])
            assert (gap.first, gap.last) == (hit + 1, hit + 1)
            known = offset >= starts[hit] + FRAME_HEADER_BYTES
            assert gap.kinds == ([RECORDS[hit][0]] if known else [])
            assert gap.unknown() == ([] if known else [(1, len(RECORDS[hit][1]))])


def test_of_several_lost_frames_the_count_and_the_known_ones_are_told(
    path: Path, image: bytes
) -> None:
    starts = boundaries(RECORDS)
    data = bytearray(image)
    data[starts[1] + 5] ^= 1
    data[starts[2] + FRAME_HEADER_BYTES] ^= 1
    # The last four bytes are what the next frame goes on from.
    data[starts[3] : starts[4] - 4] = bytes(starts[4] - starts[3] - 4)
    path.write_bytes(data)
    found, _ = walked(path)

    assert [f.sequence for f in frames(found)] == [1, 5, 6]
    (gap,) = gaps(found)
    assert (gap.first, gap.last, gap.kinds) == (2, 4, [3])
    assert gap.unknown() == [(1, len(RECORDS[1][1])), (1, len(RECORDS[3][1]))]


def test_damage_to_the_end_of_a_closed_log_is_a_gap(path: Path) -> None:
    with opened(path) as (log, _):
        log.append_many(RECORDS)
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    found, ending = walked(path)

    assert [f.sequence for f in frames(found)] == [1, 2, 3, 4, 6]
    assert [(g.first, g.last) for g in gaps(found)] == [(5, 5)]
    assert ending.torn_bytes == 0


def test_a_torn_tail_is_no_gap(path: Path, image: bytes) -> None:
    path.write_bytes(image[:-3] + bytes(3))
    found, ending = walked(path)

    assert not gaps(found)
    assert (ending.sequence, ending.torn_bytes) == (5, 37)


def test_a_copy_of_frames_in_a_payload_is_not_taken_for_frames(path: Path, tmp_path: Path) -> None:
    with opened(path) as (log, _):
        for record in RECORDS:
            log.append(*record)
            log.sync()
        copy = path.read_bytes()[FILE_HEADER_BYTES : log.size_bytes]
        start = log.size_bytes
        log.append(7, copy)
        log.sync()
        log.append(8, b"behind")
    data = bytearray(path.read_bytes())
    data[start + 1] ^= 1
    path.write_bytes(data)
    found, _ = walked(path)

    assert [(f.kind, f.payload) for f in frames(found)][:-1] == [*RECORDS, (8, b"behind")]
    assert [(g.first, g.last) for g in gaps(found)] == [(6, 6)]


def test_frames_that_are_larger_than_a_read_are_found_behind_damage(path: Path) -> None:
    large = bytes(range(256)) * (READ_BYTES // 128)
    with opened(path) as (log, _):
        log.append(1, large)
        log.append(2, large[1:])
        log.append(3, large[2:])
    data = bytearray(path.read_bytes())
    data[FILE_HEADER_BYTES + 10] ^= 1
    path.write_bytes(data)
    found, _ = walked(path)

    assert [(f.kind, f.payload) for f in frames(found)][:2] == [(2, large[1:]), (3, large[2:])]


def test_a_frame_that_is_whole_when_it_is_looked_at_again_is_no_gap(
    path: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a log that a node writes to while it is read."""
    starts = boundaries(RECORDS)
    half = bytearray(image)
    half[starts[3] : starts[4]] = bytes(starts[4] - starts[3])
    path.write_bytes(half)
    with late(path, image, monkeypatch):
        found, ending = walked(path)

    assert [f.sequence for f in frames(found)] == [1, 2, 3, 4, 5, 6]
    assert not gaps(found)
    assert ending.sequence == 6


@contextmanager
def late(path: Path, image: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a file become what it will be when its end has been looked at."""
    whole = recovery.examine_tail

    def examine_tail(file: File, *arguments: object) -> int | str:
        try:
            return whole(file, *arguments)  # type: ignore[arg-type]
        finally:
            path.write_bytes(image)

    monkeypatch.setattr("softadastra.wal.salvaging.examine_tail", examine_tail)
    yield
