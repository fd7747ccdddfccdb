"""A forked child of a process whose client is open: it is refused, and harms nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from softadastra import Client, ClientOptions, StoreLockedError

PARENT = """
import gc, os, sys, threading, warnings
from softadastra import Client, ClientOptions, InvalidStateError, Peer

directory, kind = sys.argv[1:]
options = ClientOptions.persistent("node-a", f"{directory}/a.wal").with_local_transport(0)
options.auto_flush = kind != "fast"
client = Client(options).open()
if kind == "transport":
    client.start_transport()
client.put("k", 1)
batch = client.batch()
scan = iter(client)
next(scan)
watch = client.watch()

CALLS = [
    lambda: client.put("k", 2),
    lambda: client.get("k"),
    lambda: client.remove("k"),
    lambda: client.keys(),
    lambda: list(scan),
    lambda: client.batch(),
    lambda: client.watch(),
    lambda: watch.get(0),
    lambda: next(watch),
    lambda: watch.position,
    lambda: batch.__enter__().put("k", 2) or batch.__exit__(None, None, None),
    lambda: client.digest(),
    lambda: client.conflicts(),
    lambda: client.tick(),
    lambda: client.sync_state(),
    lambda: client.wait_synced(None),
    lambda: client.start_transport(),
    lambda: client.stop_transport(),
    lambda: client.connect(Peer.local("b", 1)),
    lambda: client.forget("b"),
    lambda: client.peers(),
    lambda: client.node_info(),
    lambda: client.open(),
    lambda: client.__enter__(),
]

def child():
    global client, batch, scan
    for call in CALLS:
        try:
            call()
            return "not refused"
        except InvalidStateError as error:
            if f"opened in another process, {os.getppid()}" not in error.message:
                return repr(error)
    client.close()
    watch._watcher._watched.lock.acquire(blocking=False)
    watch.close()
    with Client(ClientOptions.persistent("child", f"{directory}/child.wal")) as own:
        own.put("mine", 1)
        if own.get("mine") != 1:
            return "a client of its own does not work"
    if (client.is_open, client.transport_running, client.transport_port) != (False, False, None):
        return "it looks open"
    del client, batch, scan
    CALLS.clear()
    gc.collect()
    return "refused"
"""

FORK = """
reader, writer = os.pipe()
if os.fork() == 0:
    try:
        os.write(writer, child().encode())
    except BaseException as error:
        os.write(writer, repr(error).encode())
    os.close(writer)
    sys.stdin.read()
    sys.exit(0)
os.close(writer)
print(os.read(reader, 1000).decode(), flush=True)
"""

GO_ON = """
assert client.put("k", 2).sync_id == "node-a-2"
assert list(client) == ["k"]
if kind == "transport":
    assert client.transport_running
    client.tick()
client.close()
with Client(options) as again:
    print(again.get("k"), flush=True)
sys.stdin.read()
"""


@contextmanager
def running(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script; its standard input, which its children share, is closed at the end."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        _, errors = process.communicate(timeout=30)
        assert errors == ""


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


KINDS = pytest.mark.parametrize("kind", ["plain", "fast", "transport"])


@KINDS
def test_a_forked_child_is_refused_by_name_and_its_parent_goes_on(tmp_path, kind):
    """It once waited for ever: for locks and threads that only the parent has."""
    with running(PARENT + FORK + GO_ON, str(tmp_path), kind) as process:
        assert line_of(process) == "refused"
        assert line_of(process) == "2"


@KINDS
def test_when_the_parent_is_dead_its_log_can_be_opened_though_the_child_lives(tmp_path, kind):
    options = ClientOptions.persistent("node-a", tmp_path / "a.wal")
    with running(PARENT + FORK + "sys.stdin.read()", str(tmp_path), kind) as process:
        assert line_of(process) == "refused"
        with pytest.raises(StoreLockedError):
            Client(options).open()

        process.kill()
        process.wait()

        with Client(options) as node:
            assert node.get("k") == 1


def test_a_child_that_is_forked_while_another_thread_holds_its_locks_is_refused_too(tmp_path):
    held = """
client._lifecycle.acquire()
client._node.lock.acquire()
"""
    freed = """
client._lifecycle.release()
client._node.lock.release()
"""
    with running(PARENT + held + FORK + freed + GO_ON, str(tmp_path), "plain") as process:
        assert line_of(process) == "refused"
        assert line_of(process) == "2"


def test_a_client_that_was_closed_or_never_opened_may_be_opened_in_a_child(tmp_path):
    closed = Client(ClientOptions.persistent("node-a", tmp_path / "a.wal"))
    closed.open().close()
    new = Client(ClientOptions.persistent("node-b", tmp_path / "b.wal"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with closed, new:
                status = 0
        finally:
            os._exit(status)

    _, status = os.waitpid(child, 0)

    assert status == 0


AIO = """
import asyncio, os, sys
from softadastra import ClientOptions, InvalidStateError
from softadastra.aio import AsyncClient

node = AsyncClient(ClientOptions.persistent("node-a", f"{sys.argv[1]}/a.wal"))
asyncio.run(node.open())

def child():
    node._writer._lock.acquire(blocking=False)
    try:
        asyncio.run(node.put("k", 1))
        return "not refused"
    except InvalidStateError as error:
        if "opened in another process" not in error.message:
            return repr(error)
    asyncio.run(node.close())
    return "refused"
"""

AIO_GOES_ON = """
asyncio.run(node.put("k", 2))
print(asyncio.run(node.get("k")), flush=True)
asyncio.run(node.close())
sys.stdin.read()
"""


def test_a_forked_child_of_a_client_for_asyncio_is_refused_too(tmp_path):
    with running(AIO + FORK + AIO_GOES_ON, str(tmp_path)) as process:
        assert line_of(process) == "refused"
        assert line_of(process) == "2"
