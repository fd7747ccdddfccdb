"""Logs of earlier versions open, and nothing of what they hold is lost or shown otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from softadastra import Client, ClientOptions, Entry
from softadastra.store.changes import OWN
from softadastra.store.policies import LAST_WRITE_WINS
from softadastra.store.replica import Replica
from softadastra.sync.engine import Engine
from softadastra.sync.kinds import Kind
from softadastra.sync.records import RecordEncoder, decode_record
from softadastra.wal import WriteAheadLog
from tests.engines import OPTIONS
from tests.vectors.values import plain_value
from tests.wal.golden.facts import facts_of
from tests.wal.golden.story import EDITION, SETTINGS
from tests.wal.logs import NODE_ID, opened

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "golden"
LOGS = sorted(path.stem for path in FOLDER.glob("*.json"))
LATEST = [f"{name}-{EDITION}" for name in ("node", "checkpoint")]


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def copied(name: str, folder: Path) -> Path:
    path = folder / f"{name}.wal"
    path.write_bytes((FOLDER / path.name).read_bytes())
    return path


def records(name: str, folder: Path) -> list[tuple[int, bytes]]:
    with opened(copied(name, folder)) as (_, found):
        return found


def settings(name: str, folder: Path) -> ClientOptions:
    return ClientOptions.persistent(NODE_ID, copied(name, folder), **SETTINGS)


def engine_of(client: Client) -> Engine:
    assert client._node is not None
    return client._node.engine


def test_frames_of_a_killed_process_open_forever(tmp_path: Path) -> None:
    """Written by the first version: a torn frame is at its end."""
    with opened(copied("frames-1", tmp_path)) as (log, found):
        assert found == [(1, b"alpha"), (2, b""), (255, bytes(range(256)))]
        assert log.torn_tail is not None
        assert log.torn_tail.size_bytes == 40


@pytest.mark.parametrize("name", LOGS)
def test_a_node_opens_as_it_was_when_it_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = facts(name)
    # As if it stood where it was written: elsewhere it is a copy.
    place = expected.pop("place")
    monkeypatch.setattr("softadastra.opening.read_host", lambda: place["host"])
    client = Client(settings(name, tmp_path))
    with monkeypatch.context() as patch:
        identity = property(lambda _: (place["device"], place["inode"]))
        patch.setattr(WriteAheadLog, "identity", identity)
        client.open()

    with client:
        assert facts_of(engine_of(client)).items() <= expected.items()
        entries = {key: client.entry(key) for key in client}
        assert {key: plain_entry(entry) for key, entry in entries.items()} == expected["entries"]
        assert client.digest() == expected["digest"]
        assert client.sync_state().outbox_size == expected["outbox"]["outbox_size"]
        assert [c.key for c in client.conflicts()] == [c["key"] for c in expected["conflicts"]]
        number = expected["outbox"]["last_submitted_version"] + 1
        assert client.put("of a later version", 1).sync_id == f"{NODE_ID}-{number}"
        client.compact()
        held = facts_of(engine_of(client))
    with client:
        assert facts_of(engine_of(client)) == held


def plain_entry(entry: Entry | None) -> dict[str, Any]:
    assert entry is not None
    return {
        "value": plain_value(entry.value),
        "version": entry.version,
        "sync_id": entry.sync_id,
        "timestamp_ms": entry.timestamp_ms,
    }


@pytest.mark.parametrize("name", LOGS)
def test_a_golden_log_that_was_copied_opens_under_a_new_incarnation(
    tmp_path: Path, name: str
) -> None:
    expected = facts(name)
    with Client(settings(name, tmp_path)) as client:
        assert client.digest() == expected["digest"]
        incarnation = engine_of(client).replica.origins[OWN].incarnation
        assert incarnation not in {had["incarnation"] for had in expected["have"]}


def test_every_kind_of_record_is_in_a_golden_log_of_this_edition(tmp_path: Path) -> None:
    found = {kind for name in LATEST for kind, _ in records(name, tmp_path)}

    assert found == set(Kind), "a kind was added: raise EDITION, see tests/wal/golden"


@pytest.mark.parametrize("name", LATEST)
def test_this_version_gives_the_records_of_this_edition_the_same_bytes(
    tmp_path: Path, name: str
) -> None:
    """Else it writes what no golden log has: raise EDITION, and let it write the next ones."""
    replica = Replica(NODE_ID, facts(name)["incarnation"], LAST_WRITE_WINS)
    engine = Engine(replica, OPTIONS, nonce=1, jitter=lambda: 0.5)
    encode = RecordEncoder(replica.origins).encode
    for kind, payload in records(name, tmp_path):
        record = decode_record(kind, payload, replica.origins)

        assert encode(record) == (kind, payload)
        engine.evolve(record)


def test_the_golden_logs_of_an_edition_are_the_same_whoever_writes_them(tmp_path: Path) -> None:
    written: list[dict[str, bytes]] = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-m", "tests.wal.golden", str(folder)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})

    assert written[0] == written[1]
    assert set(written[0]) == {f"{name}.{ending}" for name in LATEST for ending in ("wal", "json")}
