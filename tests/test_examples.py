"""The examples run, and tell the story that the documents tell of them."""

from __future__ import annotations

import csv
import os
import re
import runpy
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from softadastra import Client, ClientOptions
from softadastra.testing import check_merge, wait_until

from .programs import Program, free_ports

EXAMPLES = Path(__file__).parents[1] / "examples"
SECONDS = 30.0
"""For what one process does to reach another: far more than it takes."""
PAGE_SECONDS = 10.0

GOLDEN_STORY = """\
connected to node-b

before tick
  outbox       : 1
  queued       : 1
  in flight    : 0
  acknowledged : 0
  failed       : 0

sync tick
  retried : 0
  pruned  : 0
  batch   : 1

after the acknowledgement
  outbox       : 1
  queued       : 0
  in flight    : 0
  acknowledged : 1
  failed       : 0

node-b has message/1 = 'hello from node-a'

pruned 1; node-a still has 'hello from node-a'

after pruning
  outbox       : 0
  queued       : 0
  in flight    : 0
  acknowledged : 0
  failed       : 0
"""


@pytest.fixture
def two_node_sync(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Run the example in an empty directory, on ports that the system picks."""
    monkeypatch.chdir(tmp_path)
    example: dict[str, Any] = runpy.run_path(str(EXAMPLES / "two_node_sync.py"))

    def run() -> str:
        example["main"](tmp_path / "data", 0, 0)
        return capsys.readouterr().out

    return run


def test_two_nodes_tell_the_golden_story(two_node_sync: Callable[[], str]) -> None:
    assert two_node_sync() == GOLDEN_STORY


def test_a_second_run_in_the_same_directory_finds_the_write_and_sends_nothing(
    two_node_sync: Callable[[], str], tmp_path: Path
) -> None:
    two_node_sync()

    again = two_node_sync()

    assert again.startswith("connected to node-b\n")
    assert "there is nothing to send" in again
    assert "batch   : 0" in again
    assert "node-b has message/1 = 'hello from node-a'" in again
    assert "pruned 0; node-a still has 'hello from node-a'" in again
    assert {path.name for path in (tmp_path / "data").glob("*.wal")} == {"node-a.wal", "node-b.wal"}


def test_what_another_process_holds_ends_the_example_in_a_line(tmp_path: Path) -> None:
    options = ClientOptions.persistent("node-a", tmp_path / "data" / "node-a.wal")
    with Client(options):
        done = subprocess.run(
            [sys.executable, EXAMPLES / "two_node_sync.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "is in use by node 'node-a'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start examples in one empty directory, each in a terminal of its own."""
    running: list[Program] = []

    def start(name: str, *arguments: str) -> Program:
        command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
        running.append(Program(command, tmp_path))
        return running[-1]

    yield start
    for program in running:
        program.kill()


def test_two_terminals_chat_without_an_address_and_a_third_one_gets_what_was_said(
    run: Callable[..., Program],
) -> None:
    here = ("--room", secrets.token_hex(8), "--host", "127.0.0.1")
    ada, grace = (run("lan_chat.py", name, *here) for name in ("Ada", "Grace"))
    assert ada.sees("You are Ada-").endswith("Ctrl-D ends.")
    ada.type("hello")
    assert grace.sees("hello") == "Ada: hello"
    grace.type("hello Ada")
    assert ada.sees("hello Ada") == "Grace: hello Ada"

    assert ada.press_ctrl_d() == 0
    assert grace.sees("has left").startswith("* Ada-")
    late = run("lan_chat.py", "Tove", *here)
    assert late.sees("hello") == "Ada: hello"
    assert (late.press_ctrl_d(), grace.press_ctrl_c()) == (0, 0)


class Browser:
    """Looks at the web app of one node, and clicks.

    Args:
        address: of the app, as it tells it.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def page(self) -> str:
        with urlopen(self._address, timeout=PAGE_SECONDS) as answer:
            return str(answer.read(), "utf-8")

    def items(self) -> list[str]:
        return [
            f"{what} by {who}" for what, who in re.findall(r"(\S.*) \(from (.+)\)", self.page())
        ]

    def add(self, text: str) -> None:
        self._post("/items", text=text)

    def click_bought(self, text: str) -> None:
        found = re.search(rf"{text} \(.*\s+<button name=\"key\" value=\"(.+?)\"", self.page())
        assert found, self.page()
        self._post("/bought", key=found[1])

    def _post(self, path: str, **fields: str) -> None:
        with urlopen(f"{self._address}{path}", urlencode(fields).encode(), PAGE_SECONDS) as answer:
            assert answer.url == f"{self._address}/"  # it leads back to the list


@pytest.fixture
def app(run: Callable[..., Program]) -> Callable[[str], tuple[Program, Browser]]:
    """Start the web app of the kitchen, or of the phone, and open it in a browser."""
    ports = free_ports(["kitchen", "phone"])
    other = {"kitchen": "phone", "phone": "kitchen"}

    def start(name: str) -> tuple[Program, Browser]:
        peer = f"{other[name]}@127.0.0.1:{ports[other[name]]}"
        program = run(
            "offline_web_app.py", name, "--web", "0", "--port", ports[name], "--peer", peer
        )
        address = program.sees("Ctrl-C ends").removeprefix(f"{name}: ").partition(",")[0]
        return program, Browser(address)

    return start


def test_a_web_app_works_while_its_peer_is_away_and_catches_up_when_it_is_back(
    app: Callable[[str], tuple[Program, Browser]],
) -> None:
    kitchen, at_kitchen = app("kitchen")
    phone, at_phone = app("phone")
    at_kitchen.add("tea & <scones>")
    assert wait_until(lambda: at_phone.items() == ["tea &amp; &lt;scones&gt; by kitchen"], SECONDS)
    at_kitchen.add("milk")
    assert wait_until(lambda: "0 changes wait" in at_kitchen.page(), SECONDS)

    assert kitchen.press_ctrl_c() == 0
    at_phone.add("butter")
    at_phone.click_bought("milk")
    assert at_phone.items() == ["tea &amp; &lt;scones&gt; by kitchen", "butter by phone"]
    assert "2 changes wait for it" in at_phone.page()

    kitchen, at_kitchen = app("kitchen")
    assert wait_until(lambda: at_kitchen.items() == at_phone.items(), SECONDS)
    assert wait_until(lambda: "kitchen is connected; 0 changes wait" in at_phone.page(), SECONDS)
    assert at_phone.items() == ["tea &amp; &lt;scones&gt; by kitchen", "butter by phone"]
    assert (kitchen.press_ctrl_c(), phone.press_ctrl_c()) == (0, 0)


def test_what_was_entered_offline_survives_a_kill_of_the_web_app(
    app: Callable[[str], tuple[Program, Browser]],
) -> None:
    phone, at_phone = app("phone")
    at_phone.add("butter")
    at_phone.add("   ")
    phone.kill()

    _, at_phone = app("phone")
    assert at_phone.items() == ["butter by phone"]
    assert "1 changes wait for it" in at_phone.page()
    _, at_kitchen = app("kitchen")
    assert wait_until(lambda: at_kitchen.items() == ["butter by phone"], SECONDS)


def test_all_workers_see_a_change_and_one_that_is_killed_comes_back_with_it(
    run: Callable[..., Program],
) -> None:
    pool = run("worker_pool.py")
    pool.type("greeting hello")
    shown = [pool.sees(f"worker-{number} ") for number in (1, 2, 3)]
    assert all(line.endswith("): greeting is 'hello'") for line in shown)

    found = re.search(r"process (\d+)", shown[1])
    assert found
    os.kill(int(found[1]), signal.SIGKILL)
    pool.sees("worker-2 has died and is started again")
    again = pool.sees("worker-2 (process ")
    assert again.endswith("greeting is 'hello'")
    assert found[1] not in again
    pool.type("greeting good day")
    for number in (1, 2, 3):
        assert pool.sees(f"worker-{number} ").endswith("greeting is 'good day'")
    assert pool.press_ctrl_c() == 0

    later = run("worker_pool.py", "--workers", "1")
    assert later.sees("worker-1 ").endswith("greeting is 'good day'")
    assert later.press_ctrl_d() == 0


def test_no_worker_outlives_its_pool(run: Callable[..., Program]) -> None:
    pool = run("worker_pool.py", "--workers", "1")
    pool.type("greeting hello")
    found = re.search(r"process (\d+)", pool.sees("worker-1 "))
    assert found

    pool.kill_alone()

    assert wait_until(lambda: not is_running(int(found[1])), SECONDS)


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_readings_wait_for_the_collector_through_a_kill_and_each_arrives_or_was_dropped(
    run: Callable[..., Program], tmp_path: Path
) -> None:
    port = free_ports(["collector"])["collector"]
    measuring = ("gateway", "--peer", f"collector@127.0.0.1:{port}", "--every", "0.05")
    collecting = ("collector", "--port", port, "--every", "0.01")
    gateway = run("sensor_gateway.py", *measuring, "--keep", "40")
    gateway.sees("readings that wait: 40, that were dropped: 0")
    gateway.sees("readings that wait: 40, that were dropped: 8")
    gateway.kill()
    gateway = run("sensor_gateway.py", *measuring, "--keep", "1000")
    assert gateway.sees("that wait") == "readings that wait: 44, that were dropped: 0"

    collector = run("sensor_gateway.py", *collecting)
    collector.sees("readings in readings.csv: ")
    gateway.sees("that wait: 4,")  # those of this round
    collector.kill()
    gateway.sees("that wait: 80,")
    assert gateway.press_ctrl_c() == 0

    last_gateway = run("sensor_gateway.py", *measuring)
    collector = run("sensor_gateway.py", *collecting)
    collector.sees("readings in readings.csv: ")
    last_gateway.sees("that wait: 4,")
    assert (collector.press_ctrl_c(), last_gateway.press_ctrl_c()) == (0, 0)
    assert rounds_of(tmp_path / "data") >= 10 + len(gateway.shown) + len(last_gateway.shown)


def rounds_of(directory: Path) -> int:
    """Count the rounds that have arrived or still wait; each is there as a whole."""
    with (directory / "readings.csv").open(newline="") as file:
        readings = {(moment, sensor) for moment, sensor, _ in csv.reader(file)}
    with Client(ClientOptions.persistent("gateway", directory / "gateway.wal")) as node:
        readings |= {
            (moment, sensor)
            for key in node.keys("reading/")
            for _, moment, sensor in [key.split("/")]
        }
    assert len(readings) % 4 == 0
    return len({moment for moment, _ in readings})


def test_tills_that_counted_and_sold_apart_agree_when_they_meet(
    run: Callable[..., Program],
) -> None:
    ports = free_ports(["till-1", "till-2"])

    def open_till(name: str, other: str) -> Program:
        peer = f"{other}@127.0.0.1:{ports[other]}"
        till = run("inventory.py", name, "--port", ports[name], "--peer", peer)
        till.sees(f"{name} is open")
        return till

    def stock(till: Program) -> str:
        till.type("stock")
        return till.sees("tea: ")

    first = open_till("till-1", "till-2")
    for line, answer in (
        ("count tea 39", "39 counted"),
        ("sell tea 2", "2 sold"),
        ("sell", "type:"),
    ):
        first.type(line)
        first.sees(answer)
    assert stock(first) == "tea: 37"
    assert first.press_ctrl_d() == 0
    second = open_till("till-2", "till-1")
    for line, answer in (("count tea 40", "40 counted"), ("sell tea 5", "5 sold")):
        second.type(line)
        second.sees(answer)
    assert stock(second) == "tea: 35"

    first = open_till("till-1", "till-2")
    assert wait_until(lambda: stock(first) == stock(second) == "tea: 32", SECONDS)
    first.type("sell tea 1")
    assert wait_until(lambda: stock(second) == "tea: 31", SECONDS)
    assert (first.press_ctrl_c(), second.press_ctrl_c()) == (0, 0)


def test_the_merge_function_of_the_inventory_may_merge() -> None:
    lowest = runpy.run_path(str(EXAMPLES / "inventory.py"))["lowest"]

    check_merge(lowest, samples=[0, 39, 40], key="counted/tea")


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text()

    assert {path.name for path in EXAMPLES.glob("*.py")} == set(
        re.findall(r"\"(\w+\.py)\"", source)
    )
