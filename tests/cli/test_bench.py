"""The bench as a user runs it: what it prints and measures, and that it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from softadastra import Client, ClientOptions, PutResult, StorageError
from softadastra.cli import bench_measures
from softadastra.cli.bench_measures import Latency, measure_all
from softadastra.testing import wait_until
from softadastra.types import Storable
from tests.processes import children_of, has_ended

from .tool import Run, Spawn, document

DEADLINE_SECONDS = 60.0
SHORT = ("--seconds", "0.4")
NAMES = [
    "fdatasync",
    "durable_put",
    "durable_put_threads",
    "durable_batch",
    "put",
    "memory_put",
    "replication",
    "confirmed_put",
]


def test_each_kind_of_durability_has_a_rate_a_bar_and_a_reason(run: Run, directory: Path) -> None:
    shown = run("bench", *SHORT)

    assert shown.exit_code == 0
    rates = re.findall(r"^(\S.*?) +[\d,]+/s  ([█#]+)$", shown.stdout, re.MULTILINE)
    assert [title for title, _ in rates] == [
        "write + fdatasync",
        "durable put",
        "durable put, 8 threads",
        "durable batch() of 256",
        "put, auto_flush=False",
        "put, memory only",
        "replication, loopback",
        "put until a peer has it",
    ]
    assert "Each durable put waits for one fdatasync" in shown.stdout or (
        "of a put the fdatasync is only" in shown.stdout
    )
    assert not any(line.endswith(" ") for line in shown.stdout.splitlines())
    assert list(directory.iterdir()) == []


def test_forty_columns_show_every_number_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    lines = run("bench", *SHORT).stdout.splitlines()

    assert max(map(len, lines)) <= 40
    assert sum(re.search(r"[\d,]+/s$", line) is not None for line in lines) == len(NAMES)
    assert sum(re.fullmatch(r"  [█#]{5,}", line) is not None for line in lines) == len(NAMES)


def test_the_document_has_every_measurement_with_its_reason(run: Run, directory: Path) -> None:
    found = document(run("bench", *SHORT, "--json"))

    assert (found["directory"], found["seconds"]) == (str(directory), 0.4)
    assert (found["round_trip_ms"], found["processors"] >= 1) == (None, True)
    assert [each["name"] for each in found["measures"]] == NAMES
    for each in found["measures"]:
        assert each["count"] > 0
        assert each["per_second"] > 0
        assert each["limit"].endswith(".")
        if each["latency"] is not None:
            assert 0 < each["latency"]["p50_ms"] <= each["latency"]["p99_ms"]


def test_when_one_of_several_threads_fails_the_bench_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Client.put

    def refuse(client: Client, key: str, value: Storable) -> PutResult:
        if key.startswith("bench/3/"):
            raise StorageError("no space left")
        return put(client, key, value)

    monkeypatch.setattr(Client, "put", refuse)

    with pytest.raises(StorageError, match="no space left"):
        list(measure_all(tmp_path, 0.1))


def test_ctrl_c_ends_the_threads_that_put(tmp_path: Path) -> None:
    """Left alone they would go on for their share of the time, and be waited for."""

    def is_putting() -> bool:
        return any(each.name.startswith("ThreadPool") for each in threading.enumerate())

    def interrupt() -> None:
        wait_until(is_putting, DEADLINE_SECONDS)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()

    with pytest.raises(KeyboardInterrupt):
        bench_measures._threads(tmp_path, 10 * DEADLINE_SECONDS)

    interrupting.join()


def test_percentiles_are_those_of_all_waits() -> None:
    waits = [number / 1_000 for number in range(1_000, 0, -1)]

    assert asdict(Latency.of(waits)) == {"p50_ms": 501.0, "p99_ms": 991.0, "p999_ms": 1000.0}
    assert asdict(Latency.of([0.5])) == {"p50_ms": 500.0, "p99_ms": 500.0, "p999_ms": 500.0}


def test_it_takes_as_long_as_it_is_given_and_never_less_than_one_of_each(tmp_path: Path) -> None:
    found = list(measure_all(tmp_path, 0.0))

    assert [each.name for each in found] == NAMES
    assert all(each.count >= 1 for each in found)


def test_the_way_to_a_peer_is_measured_and_nothing_is_written_there(run: Run) -> None:
    with Client(ClientOptions.memory_only("office").with_local_transport(0)) as office:
        office.start_transport()

        found = document(
            run("bench", *SHORT, "--json", "--peer", f"127.0.0.1:{office.transport_port}")
        )

        assert found["round_trip_ms"] > 0
        assert (office.size(), office.peers()) == (0, [])


def test_a_peer_that_takes_no_connection_ends_it_before_anything_is_measured(
    run: Run, directory: Path
) -> None:
    with Client(ClientOptions.memory_only("office").with_local_transport(0)) as office:
        office.start_transport()
        port = office.transport_port

    shown = run("bench", *SHORT, "--peer", f"127.0.0.1:{port}")

    assert shown.exit_code == 1
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused" in shown.stderr
    assert shown.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--node-id", "mine"), "The bench makes its own nodes"),
        (("--seconds", "0"), "'0' is not a number from 0.1 to 3600.0."),
        (("--directory", "nowhere"), "nowhere"),
        (("--peer", "nowhere"), "'nowhere' is not HOST:PORT."),
    ],
)
def test_wrong_arguments_are_refused(run: Run, arguments: tuple[str, ...], words: str) -> None:
    shown = run("bench", *arguments)

    assert shown.exit_code == 2
    assert words in shown.stderr


def test_a_disk_that_takes_no_directory_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    def refuse(**_: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)

    shown = run("bench", *SHORT)

    assert shown.exit_code == 1
    assert "to measure in: Read-only file system; name another one with --directory" in shown.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_no_process_and_no_file(
    spawn: Spawn, directory: Path, stop: signal.Signals
) -> None:
    process = spawn("bench", "--seconds", "3600")
    assert wait_until(lambda: any(directory.iterdir()), DEADLINE_SECONDS)
    children = children_of(process.pid)

    process.send_signal(stop)

    assert process.wait(DEADLINE_SECONDS) == 130
    assert wait_until(lambda: all(map(has_ended, children)), DEADLINE_SECONDS)
    assert list(directory.iterdir()) == []


def test_stopped_while_it_replicates_it_leaves_no_process_and_no_file(
    spawn: Spawn, directory: Path
) -> None:
    process = spawn("bench", "--seconds", "8")
    assert wait_until(lambda: len(children_of(process.pid)) > 0, DEADLINE_SECONDS)
    children = children_of(process.pid)

    process.send_signal(signal.SIGINT)

    assert process.wait(DEADLINE_SECONDS) == 130
    assert wait_until(lambda: all(map(has_ended, children)), DEADLINE_SECONDS)
    assert list(directory.iterdir()) == []
