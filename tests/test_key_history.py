"""What a log has of a key over time is what was written, and what became of it."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

from softadastra.key_history import Came, Fate, KeyHistory, read_history
from softadastra.store.changes import Collected, Committed
from softadastra.store.policies import LAST_WRITE_WINS, Policies, Policy
from softadastra.store.siblings import siblings_of
from softadastra.store.splitting import Split
from softadastra.store.values import unpack_value
from softadastra.sync.records import Record
from softadastra.wal.frames import FILE_HEADER_BYTES
from tests.engines import OPTIONS, Network, Node
from tests.log_images import file_of
from tests.sync.damaged import KEYS, History

MANUAL = Policies(Policy.MANUAL, {}, "manual")


def read(directory: Path, node: Node, key: str, policies: Policies = LAST_WRITE_WINS) -> KeyHistory:
    path = directory / "node.wal"
    path.write_bytes(file_of(node))
    return read_history(path, key, policies=policies, options=OPTIONS)


def told(found: KeyHistory) -> list[tuple[str, object, str, str, str | None]]:
    return [
        (each.sync_id, "removed" if each.is_removed else each.value, each.came, each.fate, each.by)
        for each in found.versions
    ]


def test_each_write_is_there_with_what_replaced_it(tmp_path: Path) -> None:
    node = Network("a")["a"]
    node.write(("k", "one"))
    node.write(("other", 1), ("k", "two"), ("kk", 1), ("k", "three"))
    node.remove("k")
    node.write(("k", None))

    assert told(read(tmp_path, node, "k")) == [
        ("a-1", "one", "written", "replaced", "a-3"),
        ("a-3", "two", "written", "replaced", "a-5"),
        ("a-5", "three", "written", "replaced", "a-6"),
        ("a-6", "removed", "written", "replaced", "a-7"),
        ("a-7", None, "written", "stands", None),
    ]
    assert read(tmp_path, node, "nowhere").versions == []


def test_a_write_of_a_peer_is_told_from_an_own_one(tmp_path: Path) -> None:
    network = Network("a", "b")
    a, b = network["a"], network["b"]
    a.write(("k", "here"))
    network.join("a", "b")
    network.run()
    b.write(("k", "there"))
    network.run()

    assert told(read(tmp_path, a, "k")) == [
        ("a-1", "here", "written", "replaced", "b-1"),
        ("b-1", "there", "received", "stands", None),
    ]
    assert told(read(tmp_path, b, "k"))[0] == ("a-1", "here", "received", "replaced", "b-1")


def test_what_was_replaced_at_a_peer_before_it_came_has_a_name_only(tmp_path: Path) -> None:
    network = Network("a", "b")
    b = network["b"]
    for value in (1, 2, 3):
        b.write(("k", value))
    network.join("a", "b")
    network.run()

    assert told(read(tmp_path, network["a"], "k")) == [
        ("b-1", None, "named", "replaced", None),
        ("b-2", None, "named", "replaced", None),
        ("b-3", 3, "received", "stands", None),
    ]


def test_who_lost_a_conflict_is_told_to_whom(tmp_path: Path) -> None:
    network = Network("a", "b")
    a, b = network["a"], network["b"]
    a.write(("k", "earlier"))
    network.now_ms += 10
    b.write(("k", "later"))
    network.join("a", "b")
    network.run()

    assert told(read(tmp_path, a, "k")) == [
        ("a-1", "earlier", "written", "lost", "b-1"),
        ("b-1", "later", "received", "stands", None),
    ]
    # It was sent what stands, and that this covers the other's write.
    assert told(read(tmp_path, b, "k")) == [
        ("a-1", None, "named", "replaced", None),
        ("b-1", "later", "written", "stands", None),
    ]
    a.compact()
    assert told(read(tmp_path, a, "k")) == [
        ("a-1", "earlier", "kept", "lost", "b-1"),
        ("b-1", "later", "kept", "stands", None),
    ]


def test_an_open_conflict_has_two_and_a_write_over_it_replaces_both(tmp_path: Path) -> None:
    network = Network("a", "b", policies=MANUAL)
    a, b = network["a"], network["b"]
    a.write(("k", "earlier"))
    network.now_ms += 10
    b.write(("k", "later"))
    network.join("a", "b")
    network.run()

    assert told(read(tmp_path, a, "k", MANUAL)) == [
        ("a-1", "earlier", "written", "in_conflict", None),
        ("b-1", "later", "received", "stands", None),
    ]
    a.write(("k", "settled"))
    assert [each.by for each in read(tmp_path, a, "k", MANUAL).versions] == ["a-2", "a-2", None]


def test_a_log_that_was_rewritten_says_so_and_has_what_stood(tmp_path: Path) -> None:
    network = Network("a", "b")
    a = network["a"]
    link = network.join("a", "b")
    network.run()
    network.close(link)
    a.write(("k", 1))
    a.write(("k", 2))
    a.compact()
    a.write(("k", 3))
    found = read(tmp_path, a, "k")

    assert found.generation == 2
    assert told(found) == [
        ("a-1", None, "named", "replaced", None),
        ("a-2", 2, "kept", "replaced", "a-3"),
        ("a-3", 3, "written", "stands", None),
    ]


def test_a_removed_key_is_collected(tmp_path: Path) -> None:
    network = Network("a", "b")
    a = network["a"]
    network.join("a", "b")
    a.write(("k", 1))
    network.run()
    a.remove("k")
    network.run()
    network.advance(120_000)
    assert "k" not in a.engine.replica.entries

    assert told(read(tmp_path, a, "k"))[-1] == ("a-2", "removed", "written", "collected", None)


def test_what_stands_has_the_name_that_it_got_when_its_history_parted(tmp_path: Path) -> None:
    node = Network("a")["a"]
    node.write(("other", 0))
    node.write(("k", 1))
    node.write(("k", 2))
    replica = node.engine.replica
    node.commit(Split(replica.origins[replica.me], 1, 0x99))
    found = read(tmp_path, node, "k")

    assert [each.value for each in found.versions] == [1, 2]
    assert (found.versions[1].sync_id, found.versions[1].fate) == ("a-2", "stands")


def test_damage_ends_it_and_is_told(tmp_path: Path) -> None:
    node = Network("a")["a"]
    for value in range(5):
        node.write(("k", value))
    whole = read(tmp_path, node, "k")
    path = tmp_path / "node.wal"
    image = bytearray(path.read_bytes())
    image[whole.versions[3].offset + 30] ^= 0xFF
    path.write_bytes(image)
    found = read_history(path, "k", policies=LAST_WRITE_WINS, options=OPTIONS)

    assert whole.versions[0].offset >= FILE_HEADER_BYTES
    assert [each.value for each in found.versions] == [0, 1, 2]
    assert found.faults[0].offset == whole.versions[3].offset


def watch_commits(node: Node, seen: dict[str, dict[tuple[str, int, int], object]]) -> None:
    """Note each value of a key that a node had, by origin, stamp and version."""

    def commit(inner, record: Record) -> None:
        inner(record)
        if isinstance(record, Collected | Committed):
            return
        replica = node.engine.replica
        for key in KEYS:
            for number, _, stamp, version, packed, _ in siblings_of(replica.entries.get(key)):
                name = (replica.origins[number].node_id, stamp, version)
                seen[key][name] = unpack_value(packed) if packed else None

    node.commit = partial(commit, node.commit)  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(40))
def test_in_random_histories_it_has_all_that_was_and_what_stands_is_what_is(
    tmp_path: Path, seed: int
) -> None:
    history = History(seed, collects=seed % 2 == 0)
    seen: dict[str, dict[str, dict[tuple[str, int, int], object]]] = {}
    for name, node in history.network.nodes.items():
        seen[name] = defaultdict(dict)
        watch_commits(node, seen[name])
    history.play(60)
    for name, node in history.network.nodes.items():
        replica = node.engine.replica
        for key in KEYS:
            found = read(tmp_path, node, key)
            standing = {
                (each.origin, each.n)
                for each in found.versions
                if each.fate in (Fate.STANDS, Fate.IN_CONFLICT)
            }
            assert standing == {
                (replica.origins[s[0]].node_id, s[1]) for s in siblings_of(replica.entries.get(key))
            }
            known = {each.sync_id for each in found.versions}
            assert {each.by for each in found.versions if each.fate is Fate.REPLACED} <= {
                *known,
                None,
            }
            if found.generation == 1:
                values = [each.value for each in found.versions if each.came is not Came.NAMED]
                assert all(value in values for value in seen[name][key].values())
