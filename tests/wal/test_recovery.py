"""Logs that end anyhow: each opens to a prefix of what was written, or is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softadastra.errors import StoreError, WalCorruptionError
from softadastra.wal import OsDisk, WriteAheadLog
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_HEADER_BYTES,
    FRAME_OVERHEAD_BYTES,
    encode_frame,
)
from softadastra.wal.recovery import READ_BYTES

from .logs import (
    EACH_SYNCED,
    INCARNATION,
    NODE_ID,
    RECORDS,
    Record,
    boundaries,
    image_of,
    opened,
    records_of,
)


def refusal(path: Path) -> WalCorruptionError:
    """Open a log that has to be refused as damaged, and find the file unchanged."""
    content = path.read_bytes()
    log = WriteAheadLog(path, disk=OsDisk())
    log.open(node_id=NODE_ID, incarnation=1)
    with pytest.raises(WalCorruptionError) as caught:
        list(log.replay())
    log.close()
    assert path.read_bytes() == content
    assert list(path.parent.glob("*.torn-*")) == []
    return caught.value


def clear_torn(directory: Path) -> None:
    for path in directory.glob("*.torn-*"):
        path.unlink()


def test_log_cut_at_every_byte_opens_to_the_whole_frames_before_it(tmp_path: Path) -> None:
    image = image_of(tmp_path, EACH_SYNCED)
    edges = boundaries(RECORDS)
    path = tmp_path / "node-a.wal"

    for size in range(FILE_HEADER_BYTES, len(image) + 1):
        path.write_bytes(image[:size])
        whole = sum(edge <= size for edge in edges) - 1
        with opened(path) as (log, found):
            assert found == RECORDS[:whole], size
            torn = 0 if log.torn_tail is None else log.torn_tail.size_bytes
            assert torn == len(image[edges[whole] : size].rstrip(b"\0")), size
            log.append(9, b"after")
        assert records_of(path) == [*RECORDS[:whole], (9, b"after")], size


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, FILE_HEADER_BYTES - 1])
def test_log_cut_within_its_header_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "node-a.wal"
    path.write_bytes(image_of(tmp_path, EACH_SYNCED)[:size])

    with pytest.raises(StoreError):
        records_of(path)

    assert path.stat().st_size == size


def test_damaged_file_header_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "node-a.wal"
    content = bytearray(image_of(tmp_path, EACH_SYNCED))
    content[20] ^= 1
    path.write_bytes(content)

    with pytest.raises(WalCorruptionError, match="header") as caught:
        records_of(path)

    assert caught.value.context == {"path": str(path), "offset": 0}
    assert path.read_bytes() == bytes(content)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_below_the_last_frame_is_refused(tmp_path: Path, flip: int) -> None:
    """Each frame was synced before the next was written, which says so."""
    image = image_of(tmp_path, EACH_SYNCED)
    edges = boundaries(RECORDS)
    path = tmp_path / "node-a.wal"

    for position in range(FILE_HEADER_BYTES, edges[-2]):
        content = bytearray(image)
        content[position] ^= flip
        path.write_bytes(content)
        bad = sum(edge <= position for edge in edges) - 1

        error = refusal(path)

        expected = {"path": str(path), "offset": edges[bad], "sequence": bad + 1}
        assert error.context == expected, position


def test_every_flipped_byte_of_the_last_frame_costs_that_frame_and_no_other(
    tmp_path: Path,
) -> None:
    """Nothing can tell a damaged last frame from one that was never written whole."""
    image = image_of(tmp_path, EACH_SYNCED)
    last = boundaries(RECORDS)[-2]
    path = tmp_path / "node-a.wal"

    for position in range(last, len(image)):
        content = bytearray(image)
        content[position] ^= 0x10
        path.write_bytes(content)
        with opened(path) as (log, found):
            assert found == RECORDS[:-1], position
            assert log.torn_tail is not None
            assert (log.torn_tail.offset, log.torn_tail.size_bytes) == (last, len(image) - last)
            assert log.torn_tail.kept_at.read_bytes() == bytes(content[last:])


def test_every_flipped_byte_of_a_closed_log_is_refused_or_costs_nothing(tmp_path: Path) -> None:
    """The mark that close leaves behind covers the last frame too."""
    source = tmp_path / "source.wal"
    with opened(source) as (log, _):
        log.append_many(RECORDS)
    image = source.read_bytes()
    mark = boundaries(RECORDS)[-1]
    assert mark + FRAME_OVERHEAD_BYTES == len(image)
    path = tmp_path / "node-a.wal"

    for position in range(FILE_HEADER_BYTES, len(image)):
        content = bytearray(image)
        content[position] ^= 0x04
        path.write_bytes(content)
        if position < mark:
            refusal(path)
        else:
            assert records_of(path) == RECORDS, position
            clear_torn(tmp_path)


def test_every_zeroed_sector_of_the_last_group_costs_only_frames_of_that_group(
    tmp_path: Path,
) -> None:
    """A power cut leaves out any sector of what was not synced, and the log must open."""
    durable = [(1, b"d%d" % number * 40) for number in range(5)]
    group = [(2, b"g%03d" % number * 30) for number in range(40)]
    image = image_of(tmp_path, [durable, group], synced=1)
    edges = boundaries([*durable, *group])
    start = edges[len(durable)]
    path = tmp_path / "node-a.wal"

    for sector in range(start - start % 512, len(image), 512):
        front = max(sector, start)
        content = image[:front] + bytes(min(512, len(image) - front)) + image[sector + 512 :]
        path.write_bytes(content[: len(image)])
        whole = sum(edge <= front for edge in edges) - 1
        with opened(path) as (log, found):
            assert found == [*durable, *group][:whole], sector
            assert log.torn_tail is not None
            assert log.torn_tail.offset == edges[whole]
        clear_torn(tmp_path)


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=12),
    durable=st.integers(0, 12),
    seed=st.integers(0, 2**32),
)
def test_power_cut_that_keeps_any_state_of_each_sector_opens_with_every_durable_record(
    tmp_path: Path, sizes: list[int], durable: int, seed: int
) -> None:
    """A sector is kept as it was before or after any of the writes since the last sync."""
    records: list[Record] = [(1, bytes([number]) * size) for number, size in enumerate(sizes)]
    durable = min(durable, len(records))
    groups = [records[:durable], *([record] for record in records[durable:])]
    image = image_of(tmp_path, groups, synced=1)
    states = [image[:edge].ljust(len(image), b"\0") for edge in boundaries(records)[durable:]]
    random = Random(seed)
    path = tmp_path / "node-a.wal"
    path.write_bytes(
        b"".join(
            random.choice(states)[sector : sector + 512] for sector in range(0, len(image), 512)
        )
    )

    with opened(path) as (log, found):
        assert found == records[: len(found)]
        assert len(found) >= durable
        log.append(9, b"after")
    assert records_of(path) == [*found, (9, b"after")]


def test_every_zeroed_sector_below_the_durable_mark_is_refused(tmp_path: Path) -> None:
    group = [(2, b"g%03d" % number * 30) for number in range(40)]
    image = image_of(tmp_path, [group, [(3, b"last")]])
    edges = boundaries(group)
    path = tmp_path / "node-a.wal"

    for sector in range(FILE_HEADER_BYTES, edges[-1] - 512, 512):
        path.write_bytes(image[:sector] + bytes(512) + image[sector + 512 :])
        whole = sum(edge <= sector for edge in edges) - 1

        error = refusal(path)

        expected = {"path": str(path), "offset": edges[whole], "sequence": whole + 1}
        assert error.context == expected, sector
        assert "was durable when frame 41 was written" in error.message


def test_flipped_byte_in_front_of_intact_frames_is_refused_though_none_says_it_was_durable(
    tmp_path: Path,
) -> None:
    """A power cut leaves sectors out; it flips no byte. The synced group has no frame after it."""
    image = bytearray(image_of(tmp_path, [[(1, b"g%03d" % number * 30) for number in range(40)]]))
    image[FILE_HEADER_BYTES + 40] ^= 1
    path = tmp_path / "node-a.wal"
    path.write_bytes(image)

    error = refusal(path)

    assert error.context["offset"] == FILE_HEADER_BYTES
    assert "is behind it" in error.message


def test_damaged_length_is_refused_and_does_not_make_recovery_read_the_file(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 4096
    image = bytearray(
        image_of(tmp_path, [[(1, b"a")], [(2, payload)], [(3, payload)], [(4, b"z")]])
    )
    second = boundaries([(1, b"a")])[-1]
    image[second + 4 : second + 8] = (len(payload) * 2).to_bytes(4, "little")
    path = tmp_path / "node-a.wal"
    path.write_bytes(image)

    error = refusal(path)

    assert error.context == {"path": str(path), "offset": second, "sequence": 2}


def splice(content: bytes, offset: int, frame: bytes) -> bytes:
    return content[:offset] + frame + content[offset + len(frame) :]


@pytest.mark.parametrize("incarnation", [INCARNATION, INCARNATION + 1])
def test_frame_spliced_in_from_another_log_is_refused(tmp_path: Path, incarnation: int) -> None:
    """Same node, place, kind, length and number: the chain or the seed gives it away."""
    other = [[(kind, payload.swapcase())] for kind, payload in RECORDS]
    foreign = image_of(tmp_path, other, incarnation=incarnation)
    first, second, *_ = boundaries(RECORDS)
    image = image_of(tmp_path, EACH_SYNCED)
    path = tmp_path / "node-a.wal"
    path.write_bytes(splice(image, first, foreign[first:second]))

    error = refusal(path)

    # With the seed of this very log, its own frame is whole and the one behind it is not.
    bad = (second, 2) if incarnation == INCARNATION else (first, 1)
    assert (error.context["offset"], error.context["sequence"]) == bad


def test_frame_of_another_generation_at_the_end_is_cut_off(tmp_path: Path) -> None:
    foreign = image_of(tmp_path, EACH_SYNCED, incarnation=INCARNATION + 1)
    last = boundaries(RECORDS)[-2]
    path = tmp_path / "node-a.wal"
    path.write_bytes(image_of(tmp_path, EACH_SYNCED)[:last] + foreign[last:])

    assert records_of(path) == RECORDS[:-1]


def test_frame_that_is_missing_doubled_or_moved_is_refused(tmp_path: Path) -> None:
    image = image_of(tmp_path, EACH_SYNCED)
    a, b, c, d, *_ = boundaries(RECORDS)
    path = tmp_path / "node-a.wal"

    for content, bad in [
        (image[:b] + image[c:], 2),
        (image[:b] + image[a:], 2),
        (image[:b] + image[c:d] + image[b:c] + image[d:], 2),
        (image + image[c:d], 6),
    ]:
        path.write_bytes(content)
        assert refusal(path).context["sequence"] == bad


@pytest.mark.parametrize("sequence", [1, 3])
def test_number_that_a_writer_gave_twice_or_left_out_is_refused(
    tmp_path: Path, sequence: int
) -> None:
    """All checksums are right: only the count says that the log is not what was written."""
    image = image_of(tmp_path, [[(1, b"one")]])
    seed = int.from_bytes(image[FILE_HEADER_BYTES - 4 : FILE_HEADER_BYTES], "little")
    chain = int.from_bytes(image[-4:], "little")
    frame, _ = encode_frame(2, b"two", sequence=sequence, mark=len(image), seed=seed, chain=chain)
    path = tmp_path / "node-a.wal"
    path.write_bytes(image + frame)

    assert refusal(path).context == {"path": str(path), "offset": len(image), "sequence": 2}


def test_torn_frame_whose_payload_holds_frames_of_this_log_is_a_torn_tail(tmp_path: Path) -> None:
    """A value may be a copy of the log: frames in there are no frames behind the torn one."""
    image = image_of(tmp_path, EACH_SYNCED)
    groups: Sequence[Sequence[Record]] = [*EACH_SYNCED, [(6, image[FILE_HEADER_BYTES:])]]
    path = tmp_path / "node-a.wal"
    path.write_bytes(image_of(tmp_path, groups)[:-5])

    assert records_of(path) == RECORDS


def test_garbage_behind_the_last_frame_is_cut_off_and_kept_aside(tmp_path: Path) -> None:
    image = image_of(tmp_path, EACH_SYNCED)
    garbage = bytes(700) + b"\xf5\xda\x7a garbage" * 200_000
    path = tmp_path / "node-a.wal"
    path.write_bytes(image + garbage + bytes(5000))

    with opened(path) as (log, found):
        assert found == RECORDS
        torn = log.torn_tail
        assert torn is not None
        assert (torn.offset, torn.size_bytes) == (len(image), len(garbage))
        assert torn.kept_at == tmp_path / f"node-a.wal.torn-{len(image)}"
        assert torn.kept_at.read_bytes() == garbage
        assert path.stat().st_size == len(image)


@pytest.mark.parametrize("front_bytes", range(1, FRAME_HEADER_BYTES))
def test_frame_behind_a_damaged_one_is_found_where_two_reads_meet(
    tmp_path: Path, front_bytes: int
) -> None:
    payload = b"x" * (READ_BYTES - FRAME_OVERHEAD_BYTES - front_bytes)
    image = bytearray(image_of(tmp_path, [[(1, payload)], [(2, b"behind")]]))
    image[FILE_HEADER_BYTES + 50] ^= 1
    path = tmp_path / "node-a.wal"
    path.write_bytes(image)

    assert refusal(path).context["offset"] == FILE_HEADER_BYTES


def test_encoder_continues_a_log_byte_for_byte(tmp_path: Path) -> None:
    """Four bytes in front of a frame are what its chain starts from: the format promises it."""
    image = image_of(tmp_path, EACH_SYNCED)
    seed = int.from_bytes(image[FILE_HEADER_BYTES - 4 : FILE_HEADER_BYTES], "little")

    for number, offset in enumerate(boundaries(RECORDS)[:-1]):
        kind, payload = RECORDS[number]
        chain = int.from_bytes(image[offset - 4 : offset], "little")
        frame, _ = encode_frame(
            kind, payload, sequence=number + 1, mark=offset, seed=seed, chain=chain
        )
        assert frame == image[offset : offset + len(frame)]
