"""A log is looked into, checked, rewritten, copied and repaired from the command line."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, StorageError
from softadastra.wal.disk import File, OpenMode, OsDisk
from softadastra.wal.frames import FILE_HEADER_BYTES, FRAME_HEADER_BYTES

from .tool import Run, document

WAL = "data/node-1.wal"
COMMANDS = (("inspect",), ("verify",), ("compact",), ("repair",), ("backup", "copy.wal"))
READING = ("inspect", "verify")


def fill(keys: int = 6) -> Path:
    """Make the log of a node with some keys, as a node leaves it."""
    path = Path(WAL)
    with Client(ClientOptions.persistent("node-1", path)) as client:
        for i in range(keys):
            client.put(f"key/{i}", f"value-{i}")
    return path


def damage(path: Path, at: int | bytes) -> int:
    """Flip a bit, at an offset or where this text is; give the offset."""
    data = bytearray(path.read_bytes())
    offset = at if isinstance(at, int) else data.index(at)
    data[offset] ^= 1
    path.write_bytes(data)
    return offset


def listing() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def test_inspect_shows_whose_log_it_is_and_what_is_in_it(run: Run) -> None:
    path = fill(2)
    shown = run("wal", "inspect")
    found = document(run("wal", "inspect", "--json"))

    assert shown.exit_code == 0
    assert {"write", "placed", "mark"} <= {
        line.split()[0] for line in shown.stdout.splitlines() if line
    }
    assert found["node_id"] == "node-1"
    assert found["generation"] == found["format"] == 1
    assert found["allocated_bytes"] == found["used_bytes"] == path.stat().st_size
    assert found["kinds"]["write"]["frames"] == found["keys"] == 2
    assert found["durable_mark"] == found["used_bytes"] - 32
    assert (found["torn_bytes"], found["damages"], found["in_use_by"]) == (0, [], None)
    assert found["live_bytes"] > 0


def test_inspect_shows_keys_and_numbers_of_each_frame_and_never_a_value(run: Run) -> None:
    fill(2)
    run("wal", "compact")
    run("store", "put", "more", "hidden-value")
    shown = run("wal", "inspect", "--frames")
    frames = document(run("wal", "inspect", "--frames", "--json"))["frames"]

    lines = [line for line in shown.stdout.splitlines() if line.startswith("offset=")]
    assert len(lines) == len(frames)
    assert "value-" not in shown.stdout
    assert "hidden" not in str(frames)
    assert [f["sequence"] for f in frames] == list(range(1, len(frames) + 1))
    (entries,) = [f for f in frames if f["kind"] == "entries"]
    assert entries["keys"] == ["key/0", "key/1"]
    assert entries["sync_ids"] == ["node-1-1", "node-1-2"]
    (written,) = [f for f in frames if f["kind"] == "write"]
    assert (written["keys"], written["sync_ids"]) == (["more"], ["node-1-3"])


@pytest.mark.parametrize("command", READING)
def test_looking_changes_nothing_on_disk(run: Run, command: str) -> None:
    path = fill()
    path.with_name("node-1.wal.lock").unlink()
    path.with_name("node-1.wal.new").write_bytes(b"left by a crash")
    path.write_bytes(path.read_bytes() + b"\xf5torn")
    before = listing()

    assert run("wal", command).exit_code == 0
    assert listing() == before


@pytest.mark.parametrize("command", READING)
def test_looking_opens_no_file_for_writing(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it works on what this user may only read."""
    fill()
    modes: list[OpenMode] = []

    class Watched(OsDisk):
        def open(self, path: Path, mode: OpenMode) -> File:
            modes.append(mode)
            return super().open(path, mode)

    monkeypatch.setattr("softadastra.inspection.OsDisk", Watched)

    assert run("wal", command).exit_code == 0
    assert modes == [OpenMode.READING, OpenMode.READING]


def test_a_log_that_is_in_use_is_read_and_its_node_compacts_and_copies_it(run: Run) -> None:
    with Client(ClientOptions.persistent("node-1", WAL)) as client:
        client.put("key", "value")
        found = document(run("wal", "inspect", "--json"))
        codes = {command[0]: run("wal", *command).exit_code for command in COMMANDS}

        assert found["in_use_by"]["node_id"] == "node-1"
        assert found["keys"] == 1
        assert codes == {"inspect": 0, "verify": 0, "compact": 0, "repair": 5, "backup": 0}
        assert not Path(f"{WAL}.repaired").exists()
        assert client.put("key", "again").version == 2


def test_verify_says_ok_with_counts(run: Run) -> None:
    fill()
    shown = run("wal", "verify")
    found = document(run("wal", "verify", "--json"))

    assert shown.exit_code == 0
    assert shown.stdout == f"{WAL} is intact: 8 frames, 6 keys.\n"
    assert found == {"path": WAL, "ok": True, "frames": 8, "keys": 6, "torn_bytes": 0}


def test_a_torn_tail_is_told_and_is_no_damage(run: Run) -> None:
    path = fill()
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"\xf5torn")
    shown = run("wal", "verify")

    assert shown.exit_code == 0
    assert f"At offset {end} a torn tail of 5 bytes begins" in shown.stdout
    assert document(run("wal", "verify", "--json"))["torn_bytes"] == 5
    assert run("wal", "repair").exit_code == 0
    assert not Path(f"{WAL}.repaired").exists()


def test_verify_names_the_first_damage_and_exits_with_6(run: Run) -> None:
    path = fill()
    frames = document(run("wal", "inspect", "--frames", "--json"))["frames"]
    damage(path, b"value-2")
    damage(path, b"value-4")
    (wanted,) = [f for f in frames if f.get("keys") == ["key/2"]]
    shown = run("wal", "verify")
    error = document(run("wal", "verify", "--json"))["error"]

    assert shown.exit_code == 6
    assert "softadastra wal repair" in shown.stderr
    assert error["code"] == "store_error"
    assert error["context"]["offset"] == wanted["offset"]
    assert error["context"]["sequence"] == wanted["sequence"]
    assert (error["context"]["damages"], error["context"]["frames"]) == (2, 6)


def test_inspect_shows_where_the_damage_is_and_what_is_behind_it(run: Run) -> None:
    path = fill()
    damage(path, b"value-2")
    shown = run("wal", "inspect", "--json", "--frames")
    found = document(shown)

    assert shown.exit_code == 6
    assert [d["sequence"] for d in found["damages"]] == [4]
    kinds = [f["kind"] for f in found["frames"]]
    assert kinds == ["placed", "write", "write", "damage", "write", "write", "write", "mark"]
    assert found["frames"][3]["lost_kinds"] == ["write"]
    assert found["keys"] is None


def test_a_checksum_that_is_damaged_alone_is_damage_and_costs_nothing(run: Run) -> None:
    path = fill()
    frames = document(run("wal", "inspect", "--frames", "--json"))["frames"]
    damage(path, frames[3]["offset"] + frames[3]["size_bytes"] - 1)

    assert run("wal", "verify").exit_code == 6
    repaired = document(run("wal", "repair", "--json"))
    assert (repaired["mended"], repaired["lost"], repaired["keys"]) == (1, [], 6)


def test_compact_shows_the_sizes_before_and_after(run: Run) -> None:
    path = fill()
    for _ in range(3):
        run("store", "put", "key/0", "again and again")
        run("store", "put", "key/0", "and again")
    before = path.stat().st_size
    found = document(run("wal", "compact", "--json"))

    assert found == {"path": WAL, "bytes_before": before, "bytes_after": path.stat().st_size}
    assert found["bytes_after"] < before
    assert document(run("store", "get", "key/0", "--json"))["value"] == "and again"


def test_backup_writes_a_copy_and_overwrites_nothing(run: Run) -> None:
    fill()
    made = run("wal", "backup", "copies/node-1.wal")
    again = run("wal", "backup", "copies/node-1.wal")

    assert (made.exit_code, again.exit_code) == (0, 1)
    assert "exists" in again.stderr
    copy = run("--wal", "copies/node-1.wal", "store", "get", "key/3", "--raw")
    assert copy.stdout == "value-3"
    assert run("wal", "backup").exit_code == 2


def test_repair_saves_what_is_left_lists_what_is_lost_and_leaves_the_log(run: Run) -> None:
    path = fill()
    damage(path, b"value-2")
    before = path.read_bytes()
    shown = run("wal", "repair")
    again = run("wal", "repair")
    found = document(run("wal", "repair", "--json", "--output", "saved/other.wal"))

    assert shown.exit_code == 0
    assert "node-1-3" in shown.stdout
    assert f"Saved 7 frames with 5 keys in {WAL}.repaired" in shown.stdout
    assert path.read_bytes() == before
    assert again.exit_code == 1
    assert "--output" in again.stderr
    (lost,) = found["lost"]
    assert (lost["first_sequence"], lost["last_sequence"]) == (4, 4)
    assert (lost["known_kinds"], lost["own_writes"]) == (["write"], [[3, 3]])
    assert found["repaired"] == "saved/other.wal"
    keys = [f"key/{i}" for i in (0, 1, 3, 4, 5)]
    for saved in ("saved/other.wal", f"{WAL}.repaired"):
        entries = document(run("--wal", saved, "store", "list", "--json"))["entries"]
        assert [e["key"] for e in entries] == keys
    header = document(run("--wal", "saved/other.wal", "wal", "inspect", "--json"))
    assert header["incarnation"] == found["incarnation"]
    assert header["incarnation"] != document(run("wal", "inspect", "--json"))["incarnation"]


@pytest.mark.parametrize("left", [0, 1, 200])
def test_a_rewritten_log_that_ends_within_its_checkpoint_is_damaged_for_every_command(
    run: Run, left: int
) -> None:
    """With nothing behind its header it was once called intact, and could not be opened."""
    path = fill()
    run("wal", "compact")
    path.write_bytes(path.read_bytes()[: FILE_HEADER_BYTES + left])

    assert run("store", "list").exit_code == 6
    assert run("wal", "inspect").exit_code == run("wal", "verify").exit_code == 6
    repaired = document(run("wal", "repair", "--json"))
    assert repaired["is_cut"]
    assert run("--wal", f"{WAL}.repaired", "wal", "verify").exit_code == 0
    assert run("--wal", f"{WAL}.repaired", "store", "put", "key", "value").exit_code == 0


def test_of_an_intact_log_repair_makes_no_file(run: Run) -> None:
    fill()
    before = set(listing())
    shown = run("wal", "repair")

    assert shown.exit_code == 0
    assert "is not damaged" in shown.stdout
    assert set(listing()) == before


def test_a_full_disk_leaves_no_part_of_a_repaired_log(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill()
    damage(path, b"value-2")

    class Full(OsDisk):
        def open(self, path: Path, mode: OpenMode) -> File:
            file = super().open(path, mode)
            if path.name.endswith(".new"):
                monkeypatch.setattr(type(file), "pwrite", refuse)
            return file

    def refuse(file: object, data: bytes, offset: int) -> int:
        raise StorageError("cannot write: no space left", errno=errno.ENOSPC)

    monkeypatch.setattr("softadastra.repair.OsDisk", Full)
    refused = run("wal", "repair")

    assert refused.exit_code == 1
    assert "no space left" in refused.stderr
    assert not [p for p in Path("data").iterdir() if ".repaired" in p.name]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
class TestWrongFiles:
    """What is no log of this node is refused by name, and nothing is made or changed."""

    def test_no_file_exits_with_3(self, run: Run, command: tuple[str, ...]) -> None:
        absent = run("wal", *command)

        assert absent.exit_code == 3
        assert f"there is no log at {WAL}" in absent.stderr
        assert not Path("data").exists()

    def test_a_directory(self, run: Run, command: tuple[str, ...]) -> None:
        Path(WAL).mkdir(parents=True)

        assert run("wal", *command).exit_code == 1

    def test_a_foreign_file(self, run: Run, command: tuple[str, ...]) -> None:
        Path("data").mkdir()
        Path(WAL).write_bytes(b"SQLite format 3\0" * 400)
        refused = run("wal", *command)

        assert refused.exit_code == 1
        assert "is not a Softadastra write-ahead log" in refused.stderr

    def test_a_newer_format(self, run: Run, command: tuple[str, ...]) -> None:
        from zlib import crc32

        path = fill()
        data = bytearray(path.read_bytes())
        data[8] = 2
        data[4092:4096] = crc32(data[:4092]).to_bytes(4, "little")
        path.write_bytes(data)
        refused = run("wal", *command)

        assert refused.exit_code == 1
        assert "has log format 2" in refused.stderr

    def test_a_damaged_header(self, run: Run, command: tuple[str, ...]) -> None:
        path = fill()
        damage(path, 20)
        refused = run("wal", *command)

        assert refused.exit_code == 6
        assert "the header of" in refused.stderr
        assert not Path(f"{WAL}.repaired").exists()

    def test_a_file_that_ends_within_its_header(self, run: Run, command: tuple[str, ...]) -> None:
        path = fill()
        path.write_bytes(path.read_bytes()[: FILE_HEADER_BYTES - 1])

        assert run("wal", *command).exit_code == 6


def test_the_log_of_another_node_is_not_repaired(run: Run) -> None:
    path = fill()
    damage(path, b"value-2")
    refused = run("--node-id", "other", "--wal", str(path), "wal", "repair")

    assert refused.exit_code == 1
    assert "is the log of node 'node-1'" in refused.stderr
    assert not Path(f"{WAL}.repaired").exists()


def test_opening_a_damaged_log_names_the_command_that_saves_it(run: Run) -> None:
    path = fill()
    damage(path, FILE_HEADER_BYTES + FRAME_HEADER_BYTES)
    refused = run("store", "list")

    assert refused.exit_code == 6
    assert "softadastra wal repair" in refused.stderr
