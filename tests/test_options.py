"""Options: their defaults, the check of the whole, and where settings are read from."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from softadastra.errors import InvalidArgumentError, StorageError
from softadastra.options import CONFLICT_POLICIES, ClientOptions
from softadastra.types import Peer

FIELDS = [field.name for field in dataclasses.fields(ClientOptions)]

PEER_B = Peer("node-b", "127.0.0.1", 4042)
PEER_C = Peer("node-c", "127.0.0.1", 4043)


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test may find a settings file that happens to lie where the tests are run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems_of(options: ClientOptions) -> list[str]:
    with pytest.raises(InvalidArgumentError) as caught:
        options.validate()
    problems: Any = caught.value.context["problems"]
    assert all(problem in caught.value.message for problem in problems)
    return list(problems)


def load_text(directory: Path, toml: str, **environ: str) -> ClientOptions:
    file = directory / "node.toml"
    file.write_text(toml, encoding="utf-8")
    return ClientOptions.load(file, environ)


def test_the_defaults_are_those_of_the_contract() -> None:
    assert ClientOptions().to_dict() == {
        "node_id": "node-1",
        "display_name": "",
        "version": "0.1.0",
        "cluster": "default",
        "wal_path": None,
        "enable_wal": True,
        "auto_flush": True,
        "flush_interval": 0.05,
        "auto_tick": True,
        "tick_interval": 0.05,
        "auto_queue": True,
        "require_ack": True,
        "sync_batch_size": 1024,
        "sync_batch_bytes": 262144,
        "sync_window": 8,
        "max_sync_retries": 5,
        "retry_interval": 5.0,
        "max_offline": 2592000.0,
        "ack_timeout": 10.0,
        "conflict_policy": "last_write_wins",
        "conflict_policies": {},
        "enable_transport": False,
        "transport_host": "127.0.0.1",
        "transport_port": 0,
        "peers": [],
        "enable_discovery": False,
        "security": None,
        "insecure": False,
        "key_path": None,
        "enable_control": True,
        "max_key_bytes": 1024,
        "max_value_bytes": 1048576,
    }


@pytest.mark.parametrize(
    "options",
    [
        ClientOptions(),
        ClientOptions.local("a"),
        ClientOptions.memory_only("a"),
        ClientOptions.persistent("a", "a.wal"),
        ClientOptions.durable("a", "a.wal"),
        ClientOptions.fast("a", "a.wal"),
        ClientOptions().with_transport("127.0.0.1", 4041).with_metadata("Ada", "2.0"),
    ],
)
def test_what_the_factories_make_is_valid(options: ClientOptions) -> None:
    options.validate()


def test_a_node_without_a_file_acknowledges_like_any_other() -> None:
    expected = ClientOptions("a", enable_wal=False, auto_flush=False, max_sync_retries=2)

    assert ClientOptions.memory_only("a") == expected
    assert ClientOptions.local("a") == expected


def test_a_persistent_node_syncs_each_write() -> None:
    expected = ClientOptions("a", enable_wal=True, wal_path="a.wal", auto_flush=True)

    assert ClientOptions.persistent("a", "a.wal") == expected
    assert ClientOptions.durable("a", "a.wal") == expected


def test_a_fast_node_logs_without_a_sync_for_each_write() -> None:
    assert ClientOptions.fast("a", "a.wal") == ClientOptions(
        "a",
        enable_wal=True,
        wal_path="a.wal",
        auto_flush=False,
        sync_batch_size=128,
        max_sync_retries=2,
    )


def test_a_keyword_of_a_factory_is_stronger_than_its_preset() -> None:
    options = ClientOptions.fast("a", "a.wal", sync_batch_size=9, cluster="lab")

    assert (options.sync_batch_size, options.cluster, options.max_sync_retries) == (9, "lab", 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda **settings: ClientOptions.local("a", **settings),
        lambda **settings: ClientOptions.memory_only("a", **settings),
        lambda **settings: ClientOptions.persistent("a", "a.wal", **settings),
        lambda **settings: ClientOptions.durable("a", "a.wal", **settings),
        lambda **settings: ClientOptions.fast("a", "a.wal", **settings),
        lambda **settings: ClientOptions.load(None, {}, **settings),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_nearest_name(make: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'sync_batchsize'.*'sync_batch_size'"):
        make(sync_batchsize=9)


def test_a_mistyped_attribute_is_refused() -> None:
    with pytest.raises(AttributeError, match="auto_flsh"):
        ClientOptions().auto_flsh = False  # type: ignore[attr-defined]


def test_builders_return_a_copy_and_leave_the_original() -> None:
    original = ClientOptions("a", conflict_policies={"x/": "manual"})
    copy = (
        original.with_transport("192.168.0.1", 4041)
        .with_discovery()
        .with_metadata("Ada", version="2.0")
    )
    copy.conflict_policies["y/"] = "manual"

    assert original == ClientOptions("a", conflict_policies={"x/": "manual"})
    assert copy == ClientOptions(
        "a",
        conflict_policies={"x/": "manual", "y/": "manual"},
        enable_transport=True,
        transport_host="192.168.0.1",
        transport_port=4041,
        enable_discovery=True,
        display_name="Ada",
        version="2.0",
    )


def test_a_local_transport_listens_on_loopback() -> None:
    options = ClientOptions("a", transport_host="0.0.0.0").with_local_transport(4041)

    assert (options.transport_host, options.transport_port) == ("127.0.0.1", 4041)
    assert options.enable_transport


def test_discovery_brings_the_transport_and_leaves_it_when_it_goes() -> None:
    found = ClientOptions("a").with_discovery()
    alone = found.with_discovery(enabled=False)

    assert (found.enable_discovery, found.enable_transport) == (True, True)
    assert (alone.enable_discovery, alone.enable_transport) == (False, True)


def test_discovery_goes_as_far_as_the_address_that_it_is_given() -> None:
    here = ClientOptions("a").with_transport("192.168.0.1", 4041)
    everywhere = here.with_discovery("0.0.0.0", 4042)
    there = here.with_discovery()

    assert (everywhere.transport_host, everywhere.transport_port) == ("0.0.0.0", 4042)
    assert (there.transport_host, there.transport_port) == ("192.168.0.1", 4041)
    assert ClientOptions("a").with_discovery().transport_host == "127.0.0.1"
    (problem,) = problems_of(everywhere)
    assert "'0.0.0.0'" in problem
    assert "insecure=True" in problem


def test_discovery_without_a_network_that_reaches_it_is_no_mistake() -> None:
    ClientOptions("a").with_discovery().validate()
    ClientOptions("a", enable_discovery=True).validate()


def test_the_defaults_of_an_application_are_the_weakest(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('node_id = "from-file"')
    defaults = {"node_id": "default", "cluster": "default-cluster", "display_name": "Ada"}

    options = ClientOptions.load(
        file, {"SOFTADASTRA_CLUSTER": "from-variable"}, defaults=defaults, version="3"
    )

    assert (options.node_id, options.cluster, options.display_name, options.version) == (
        "from-file",
        "from-variable",
        "Ada",
        "3",
    )
    with pytest.raises(InvalidArgumentError, match="'node_ide' among the defaults"):
        ClientOptions.load(file, {}, defaults={"node_ide": "x"})


@pytest.mark.parametrize(
    "peers",
    [
        (PEER_B, PEER_C),
        [PEER_B, "node-c@127.0.0.1:4043"],
        "node-b@127.0.0.1:4042, node-c@127.0.0.1:4043",
    ],
)
def test_peers_are_read_where_they_are_assigned(peers: Any) -> None:
    options = ClientOptions(peers=peers)
    assert options.peers == (PEER_B, PEER_C)

    options.peers = ()
    options.peers = peers
    assert options.peers == (PEER_B, PEER_C)


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        (["node-b"], "cannot read peer 'node-b'"),
        (["node-b@127.0.0.1:99999"], "from 1 to 65535, got 99999"),
        ([("node-b", "127.0.0.1", 4042)], "a peer is a Peer or ID@HOST:PORT"),
        (["node\nb@127.0.0.1:4042"], "no node can be called"),
        ([Peer("b" * 256, "127.0.0.1", 4042)], "no node can be called"),
        (5, "peers must be"),
        (None, "peers must be"),
    ],
)
def test_what_is_no_peer_is_refused_where_it_is_assigned(peers: Any, words: str) -> None:
    options = ClientOptions(peers=(PEER_B,))

    with pytest.raises(InvalidArgumentError, match=words):
        options.peers = peers

    assert options.peers == (PEER_B,)


@pytest.mark.parametrize(
    ("wal_path", "resolved"),
    [(None, Path("data/node-7.wal")), ("x.wal", Path("x.wal")), (Path("x.wal"), Path("x.wal"))],
)
def test_the_log_is_in_data_unless_it_is_named(wal_path: Any, resolved: Path) -> None:
    assert ClientOptions("node-7", wal_path=wal_path).resolved_wal_path() == resolved


def test_a_name_is_refused_that_leaves_no_room_for_the_files_beside_its_log(tmp_path: Path) -> None:
    longest = 255 - len(".wal.trusted.0123456789abcdef.new")
    (tmp_path / f"{'x' * longest}.wal.trusted.0123456789abcdef.new").touch()
    ClientOptions("x" * longest).validate()

    with pytest.raises(InvalidArgumentError, match=f"at most {longest} bytes: set wal_path"):
        ClientOptions("x" * (longest + 1)).validate()

    ClientOptions("x" * (longest + 1), wal_path="a.wal").validate()


def test_a_link_to_a_log_is_followed_and_the_keys_stay_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "link.wal").symlink_to("far/node.wal")
    options = ClientOptions.persistent("node-a", tmp_path / "link.wal")

    assert options.resolved_wal_path() == tmp_path / "far" / "node.wal"
    assert options.resolved_key_path() == tmp_path / "link.wal.key"


class BytesPath:
    """A path object is allowed to stand for bytes; as JSON a path has to be text."""

    def __fspath__(self) -> bytes:
        return b"a.wal"


NAME_LIMIT = ["", "x" * 255, "é" * 127]
NOT_TEXT = [None, 5, b"a", "a\nb", "a\0", "a\ud800", "x" * 256, "é" * 128]
NOT_FLAGS = [None, 0, 1, "true"]
SECONDS = [0.001, 1, 5.0, 31_536_000]
NOT_SECONDS = [None, True, "1", 0, 0.0, -1.0, math.nan, math.inf, 31_536_001]

ACCEPTED: dict[str, list[Any]] = {
    "node_id": ["a", "node a", "nœud", "x" * 222],
    "display_name": NAME_LIMIT,
    "version": NAME_LIMIT,
    "cluster": ["default", "x" * 255],
    "wal_path": [None, "a.wal", Path("a.wal"), "/tmp/a.wal"],
    "enable_wal": [True, False],
    "auto_flush": [True, False],
    "flush_interval": SECONDS,
    "auto_tick": [True, False],
    "tick_interval": SECONDS,
    "auto_queue": [True, False],
    "require_ack": [True, False],
    "sync_batch_size": [1, 4096],
    "sync_batch_bytes": [1024, 1048576],
    "sync_window": [1, 64],
    "max_sync_retries": [1, 1_000_000],
    "retry_interval": SECONDS,
    "max_offline": SECONDS,
    "ack_timeout": SECONDS,
    "conflict_policy": [*CONFLICT_POLICIES, max],
    "conflict_policies": [{}, {"a/": "manual", "a/b": max}],
    "enable_transport": [True, False],
    "transport_host": ["localhost", "0.0.0.0"],
    "transport_port": [0, 1, 65535],
    "peers": [(), (PEER_B,)],
    "enable_discovery": [True, False],
    "security": [None, "curve"],
    "insecure": [True, False],
    "key_path": [None, "a.key", Path("keys/a")],
    "enable_control": [True, False],
    "max_key_bytes": [1, 65536],
    "max_value_bytes": [1, 1048576],
}

REFUSED: dict[str, list[Any]] = {
    "node_id": ["", *NOT_TEXT],
    "display_name": NOT_TEXT,
    "version": NOT_TEXT,
    "cluster": ["", *NOT_TEXT],
    "wal_path": ["", ".", "/", b"a.wal", BytesPath(), 5, "a\0b", "\ud800.wal"],
    "enable_wal": NOT_FLAGS,
    "auto_flush": NOT_FLAGS,
    "flush_interval": NOT_SECONDS,
    "auto_tick": NOT_FLAGS,
    "tick_interval": NOT_SECONDS,
    "auto_queue": NOT_FLAGS,
    "require_ack": NOT_FLAGS,
    "sync_batch_size": [None, True, 0, -1, 65537, 64.0, "64"],
    "sync_batch_bytes": [1023, 1048577],
    "sync_window": [0, 1025],
    "max_sync_retries": [0, 1_000_001],
    "retry_interval": NOT_SECONDS,
    "max_offline": NOT_SECONDS,
    "ack_timeout": NOT_SECONDS,
    "conflict_policy": ["", None, "newest"],
    "conflict_policies": [
        None,
        {"a/": "newest"},
        {1: "manual"},
        {"\ud800": "manual"},
        {"a/": None},
        ["a/"],
    ],
    "enable_transport": NOT_FLAGS,
    "transport_host": ["", *NOT_TEXT],
    "transport_port": [None, True, -1, 65536, 4041.0, "4041"],
    "enable_discovery": NOT_FLAGS,
    "security": ["", "tls", True],
    "insecure": NOT_FLAGS,
    "key_path": ["", ".", "/", b"a.key", 5, "a\0b"],
    "enable_control": NOT_FLAGS,
    "max_key_bytes": [0, 65537],
    "max_value_bytes": [0, 1048577],
}


def test_the_tables_of_this_file_know_every_field() -> None:
    assert set(ACCEPTED) == set(FIELDS)
    assert set(REFUSED) | {"peers"} == set(FIELDS)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in ACCEPTED for value in ACCEPTED[name]]
)
def test_a_value_within_its_limits_is_accepted(name: str, value: Any) -> None:
    ClientOptions(**{"insecure": True, name: value}).validate()


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]]
)
def test_a_value_beyond_its_limits_is_refused_by_name(name: str, value: Any) -> None:
    assert any(problem.startswith(name) for problem in problems_of(ClientOptions(**{name: value})))


def test_validate_lists_every_problem_at_once() -> None:
    options = ClientOptions(
        "",
        auto_flush=1,  # type: ignore[arg-type]
        transport_port=70_000,
        retry_interval=-1,
        cluster="",
        conflict_policy="lastwrite",
        enable_transport=True,
        transport_host="0.0.0.0",
    )

    named = [problem.split()[0] for problem in problems_of(options)]

    assert named == [
        "node_id", "cluster", "auto_flush", "retry_interval", "transport_port", "conflict_policy",
        "transport_host",
    ]  # fmt: skip


def test_an_empty_host_is_one_problem() -> None:
    (problem,) = problems_of(ClientOptions().with_transport("", 0))

    assert problem.startswith("transport_host must be non-empty")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_consent(host: str) -> None:
    ClientOptions().with_transport(host, 0).validate()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "*", "192.168.0.1", "example.org", "127.example.org", "eth0"]
)
def test_to_listen_beyond_loopback_needs_security_or_consent(host: str) -> None:
    options = ClientOptions().with_transport(host, 0)

    (problem,) = problems_of(options)
    assert repr(host) in problem
    assert "127.0.0.1" in problem
    assert 'security="curve"' in problem
    assert "insecure=True" in problem

    for way_out in ({"insecure": True}, {"security": "curve"}):
        replace(options, **way_out).validate()


def test_a_host_that_is_not_listened_on_needs_no_consent() -> None:
    ClientOptions(transport_host="0.0.0.0").validate()


@pytest.mark.parametrize(
    ("settings", "key", "trusted"),
    [
        ({}, "data/a.wal.key", "data/a.wal.trusted"),
        ({"enable_wal": False}, "data/a.wal.key", "data/a.wal.trusted"),
        ({"wal_path": "x/b.log"}, "x/b.log.key", "x/b.log.trusted"),
        ({"key_path": "keys/a.key"}, "keys/a.key", "keys/a.trusted"),
        ({"key_path": "keys/a"}, "keys/a", "keys/a.trusted"),
    ],
)
def test_keys_are_beside_the_log_or_where_they_are_said_to_be(
    settings: dict[str, Any], key: str, trusted: str
) -> None:
    options = ClientOptions("a", security="curve", **settings)

    assert options.resolved_key_path() == Path(key)
    assert options.resolved_trust_path() == Path(trusted)


def test_a_node_id_that_cannot_name_a_key_file_needs_a_path() -> None:
    (problem,) = problems_of(ClientOptions.memory_only("a/b", security="curve"))

    assert "set wal_path" in problem
    ClientOptions.memory_only("a/b", security="curve", key_path="a.key").validate()


def test_an_unknown_policy_is_refused_with_the_nearest_name() -> None:
    options = ClientOptions(conflict_policy="last_writer", conflict_policies={"a/": "keeplocal"})

    assert problems_of(options)[:2] == [
        "conflict_policy 'last_writer' is unknown: did you mean 'last_write_wins'?",
        "conflict_policies['a/'] 'keeplocal' is unknown: did you mean 'keep_local'?",
    ]


def test_a_function_without_a_name_is_refused_as_nodes_compare_functions_by_name() -> None:
    """That of a partial holds an address: no two processes would agree."""
    (problem,) = problems_of(ClientOptions(conflict_policy=partial(max, 1)))

    assert "has no name that nodes can compare" in problem


@pytest.mark.parametrize("node_id", ["a/b", "../a", "x" * 252])
def test_a_node_id_that_cannot_name_a_file_needs_a_path(node_id: str) -> None:
    (problem,) = problems_of(ClientOptions(node_id))

    assert "set wal_path" in problem
    ClientOptions.persistent(node_id, "a.wal").validate()
    ClientOptions.memory_only(node_id).validate()


@pytest.mark.parametrize(
    "options",
    [
        ClientOptions(),
        ClientOptions(
            "b",
            wal_path=Path("data/b.wal"),
            peers=(PEER_B,),
            conflict_policies={"a/": "manual"},
            security="curve",
            key_path=Path("keys/b"),
        ),
    ],
)
def test_options_survive_json(options: ClientOptions) -> None:
    read = ClientOptions(**json.loads(json.dumps(options.to_dict())))

    assert read.to_dict() == options.to_dict()
    assert read.peers == options.peers


def test_a_dict_of_options_can_be_changed_without_changing_them() -> None:
    options = ClientOptions()
    options.to_dict()["conflict_policies"]["a/"] = "manual"

    assert options == ClientOptions()


def test_the_strongest_source_of_a_setting_wins(empty_directory: Path) -> None:
    file = empty_directory / "node.toml"
    file.write_text('node_id = "file"\ncluster = "file"\ndisplay_name = "file"\n')
    environ = {"SOFTADASTRA_NODE_ID": "variable", "SOFTADASTRA_CLUSTER": "variable"}

    options = ClientOptions.load(file, environ, node_id="keyword")

    assert (options.node_id, options.cluster, options.display_name, options.version) == (
        "keyword",
        "variable",
        "file",
        "0.1.0",
    )


def test_the_variables_of_the_process_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTADASTRA_NODE_ID", "node-9")

    assert ClientOptions.load().node_id == "node-9"


def test_a_settings_file_of_the_current_directory_is_read(empty_directory: Path) -> None:
    assert ClientOptions.load(environ={}) == ClientOptions()

    (empty_directory / "softadastra.toml").write_text('node_id = "node-9"')

    assert ClientOptions.load(environ={}).node_id == "node-9"


def test_a_named_file_is_read_in_place_of_that_of_the_directory(empty_directory: Path) -> None:
    (empty_directory / "softadastra.toml").write_text('cluster = "other"')

    assert load_text(empty_directory, 'node_id = "a"') == ClientOptions("a")


def test_a_file_sets_any_type_of_field(empty_directory: Path) -> None:
    toml = """
        wal_path = "a.wal"
        auto_flush = false
        sync_window = 2
        retry_interval = 1
        ack_timeout = 2.5
        peers = ["node-b@127.0.0.1:4042"]
        [conflict_policies]
        "a/" = "manual"
    """

    assert load_text(empty_directory, toml) == ClientOptions(
        wal_path="a.wal",
        auto_flush=False,
        sync_window=2,
        retry_interval=1,
        ack_timeout=2.5,
        peers=(PEER_B,),
        conflict_policies={"a/": "manual"},
    )


def test_an_unknown_key_is_refused_with_the_file_and_the_nearest_name(
    empty_directory: Path,
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'wall_path' in .*node.toml.*'wal_path'"):
        load_text(empty_directory, 'wall_path = "a.wal"')


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('sync_window = "four"', "sync_window in .*whole number from 1 to 64, got 'four'"),
        ("transport_port = 70000", "transport_port in .*from 0 to 65535, got 70000"),
        ("auto_flush = 1", "auto_flush in .*true or false, got 1"),
        ('peers = ["node-b"]', r"peers in .*ID@HOST:PORT, got \['node-b'\]"),
        ("conflict_policies = 1", "conflict_policies in .*policy names, got 1"),
        ("[conflict_policies]\n'a/' = 1", "conflict_policies in .*policy names, got {'a/': 1}"),
        ("node_id = 5", "node_id in .*non-empty printable text"),
    ],
)
def test_a_wrong_value_in_a_file_is_refused_by_its_key(
    empty_directory: Path, toml: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        load_text(empty_directory, toml)

    assert caught.value.context["path"] == str(empty_directory / "node.toml")


@pytest.mark.parametrize("content", [b"node_id = ", b"node_id = 'a'\nnode_id = 'b'"])
def test_a_file_that_is_not_toml_is_refused_by_name(empty_directory: Path, content: bytes) -> None:
    file = empty_directory / "broken.toml"
    file.write_bytes(content)

    with pytest.raises(InvalidArgumentError, match=r"broken.toml' is not TOML"):
        ClientOptions.load(file, {})


def test_a_file_that_is_not_utf_8_is_refused_by_the_place(empty_directory: Path) -> None:
    file = empty_directory / "broken.toml"
    file.write_bytes(b"node_id = '\xff'")

    with pytest.raises(InvalidArgumentError, match=r"broken.toml' is not UTF-8 at its byte 12"):
        ClientOptions.load(file, {})


def test_a_byte_order_mark_is_no_part_of_a_file(empty_directory: Path) -> None:
    file = empty_directory / "marked.toml"
    file.write_bytes(b"\xef\xbb\xbfnode_id = 'a'")

    assert ClientOptions.load(file, {}).node_id == "a"


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match=r"no settings file 'absent.toml'"):
        ClientOptions.load("absent.toml", {})


def test_a_file_that_cannot_be_read_is_a_storage_error(empty_directory: Path) -> None:
    (empty_directory / "softadastra.toml").mkdir()

    with pytest.raises(StorageError) as caught:
        ClientOptions.load(environ={})

    assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, "softadastra.toml")


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("SOFTADASTRA_WAL_PATH", "data/a.wal", "wal_path", "data/a.wal"),
        ("SOFTADASTRA_AUTO_FLUSH", "false", "auto_flush", False),
        ("SOFTADASTRA_AUTO_FLUSH", "0", "auto_flush", False),
        ("SOFTADASTRA_AUTO_FLUSH", "No", "auto_flush", False),
        ("SOFTADASTRA_AUTO_FLUSH", "OFF", "auto_flush", False),
        ("SOFTADASTRA_INSECURE", "true", "insecure", True),
        ("SOFTADASTRA_INSECURE", "1", "insecure", True),
        ("SOFTADASTRA_INSECURE", "yes", "insecure", True),
        ("SOFTADASTRA_INSECURE", "on", "insecure", True),
        ("SOFTADASTRA_TRANSPORT_PORT", "4041", "transport_port", 4041),
        ("SOFTADASTRA_RETRY_INTERVAL", "0.5", "retry_interval", 0.5),
        ("SOFTADASTRA_SECURITY", "curve", "security", "curve"),
        ("SOFTADASTRA_PEERS", "node-b@127.0.0.1:4042", "peers", (PEER_B,)),
        (
            "SOFTADASTRA_PEERS",
            "node-b@127.0.0.1:4042,node-c@127.0.0.1:4043",
            "peers",
            (PEER_B, PEER_C),
        ),
        (
            "SOFTADASTRA_CONFLICT_POLICIES",
            "a/=manual, b=c/=keep_local",
            "conflict_policies",
            {"a/": "manual", "b=c/": "keep_local"},
        ),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_field(
    variable: str, text: str, name: str, value: Any
) -> None:
    options = ClientOptions.load(environ={variable: text})

    assert options == ClientOptions(**{name: value})


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("SOFTADASTRA_AUTO_FLUSH", "maybe", "true or false"),
        ("SOFTADASTRA_TRANSPORT_PORT", "http", "a whole number from 0 to 65535"),
        ("SOFTADASTRA_TRANSPORT_PORT", "65536", "a whole number from 0 to 65535"),
        ("SOFTADASTRA_TRANSPORT_PORT", "5_0", "a whole number from 0 to 65535"),
        ("SOFTADASTRA_TRANSPORT_PORT", "\u0665", "a whole number from 0 to 65535"),
        ("SOFTADASTRA_TICK_INTERVAL", "1_0", "a number of seconds from 0.001 to 31536000"),
        ("SOFTADASTRA_TICK_INTERVAL", "\u0665", "a number of seconds from 0.001 to 31536000"),
        ("SOFTADASTRA_TICK_INTERVAL", "50ms", "a number of seconds"),
        ("SOFTADASTRA_TICK_INTERVAL", "nan", "a number of seconds"),
        ("SOFTADASTRA_SECURITY", "tls", "'curve' or None"),
        ("SOFTADASTRA_PEERS", "node-b@127.0.0.1", "peers as ID@HOST:PORT, separated by commas"),
        (
            "SOFTADASTRA_CONFLICT_POLICIES",
            "manual",
            "key prefixes and policy names as prefix=policy, separated by commas",
        ),
        ("SOFTADASTRA_NODE_ID", "a\nb", "non-empty printable text"),
    ],
)
def test_a_wrong_value_of_a_variable_is_refused_by_its_name(
    variable: str, text: str, expected: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ClientOptions.load(environ={variable: text})

    assert caught.value.message.startswith(f"{variable} must be {expected}")
    assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("SOFTADASTRA_NODEID", "SOFTADASTRA_NODE_ID"),
        ("SOFTADASTRA_node_id", "SOFTADASTRA_NODE_ID"),
        ("SOFTADASTRA_HOST", "SOFTADASTRA_TRANSPORT_HOST"),
        ("SOFTADASTRA_PORT", "SOFTADASTRA_TRANSPORT_PORT"),
        ("SOFTADASTRA_WAL", "SOFTADASTRA_WAL_PATH"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(variable: str, nearest: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"{variable}: did you mean {nearest}\?"):
        ClientOptions.load(environ={variable: "1"})


@pytest.mark.parametrize(
    "suffix",
    [
        "VERSION", "SDK_VERSION", "INSTALL_KIND", "HOME", "BIN_DIR", "SDK_DIR", "REPO", "SDK_REPO",
    ],
)  # fmt: skip
def test_the_variables_of_the_installer_set_nothing(suffix: str) -> None:
    assert ClientOptions.load(environ={f"SOFTADASTRA_{suffix}": "9.9"}) == ClientOptions()


def test_the_variables_of_a_kubernetes_service_set_nothing() -> None:
    environ = {
        "SOFTADASTRA_SERVICE_HOST": "10.0.0.1",
        "SOFTADASTRA_SERVICE_PORT": "4041",
        "SOFTADASTRA_SERVICE_PORT_SYNC": "4041",
        "SOFTADASTRA_PORT": "tcp://10.0.0.1:4041",
        "SOFTADASTRA_PORT_4041_TCP": "tcp://10.0.0.1:4041",
        "SOFTADASTRA_PORT_4041_TCP_PROTO": "tcp",
        "SOFTADASTRA_PORT_4041_TCP_PORT": "4041",
        "SOFTADASTRA_PORT_4041_TCP_ADDR": "10.0.0.1",
        "SOFTADASTRA_NODE_SERVICE_HOST": "10.0.0.1",
        "SOFTADASTRA_NODE_PORT": "tcp://10.0.0.1:4041",
    }

    assert ClientOptions.load(environ=environ) == ClientOptions()


def test_an_empty_variable_and_those_of_others_set_nothing() -> None:
    environ = {"SOFTADASTRA_NODE_ID": "", "NODE_ID": "x", "PATH": "/bin", "XSOFTADASTRA_WAL": "x"}

    assert ClientOptions.load(environ=environ) == ClientOptions()


def test_what_is_loaded_can_still_be_changed_before_it_is_checked(empty_directory: Path) -> None:
    options = load_text(empty_directory, 'enable_transport = true\ntransport_host = "0.0.0.0"')
    options.insecure = True

    options.validate()


PROGRAM = """
import multiprocessing
from softadastra.policy_names import policy_name

def merge(key, siblings):
    return 0

def tell(name):
    print(name, policy_name(merge), flush=True)

if __name__ == "__main__":
    tell("main")
    spawned = multiprocessing.get_context("spawn").Process(target=tell, args=("spawned",))
    spawned.start()
    spawned.join()
"""


@pytest.mark.parametrize("how", [["till.py"], ["-m", "till"], ["-c", "import till; till.tell(1)"]])
def test_a_function_has_one_name_in_the_program_in_what_imports_it_and_in_what_it_spawns(
    how: list[str], tmp_path: Path
) -> None:
    """Nodes compare these names, and refuse each other when they differ."""
    (tmp_path / "till.py").write_text(PROGRAM)

    done = subprocess.run(
        [sys.executable, *how], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    names = {line.split()[1] for line in done.stdout.splitlines()}
    assert names == {"merge:till.merge"}, done.stderr


def test_a_function_that_is_typed_in_keeps_the_name_of_its_module() -> None:
    code = "from softadastra.policy_names import policy_name; print(policy_name(lambda k, s: 0))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "merge:__main__.<lambda>\n"
