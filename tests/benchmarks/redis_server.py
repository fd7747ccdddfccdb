"""Redis on loopback: servers that the measurement starts and ends, and their protocol (RESP).

Every server has an append-only file that is synced before a command is answered
(`appendfsync always`): what was answered is durable, as after a durable put.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

from .installed import program
from .threads import Put, rate_together
from .workload import BATCH_WRITES, DEADLINE_SECONDS, writes

__all__ = ["durable_put", "durable_put_threads", "first_sync", "replicate_live"]

POLL_SECONDS = 0.005
STOP_SECONDS = 10.0


def durable_put(directory: Path, count: int) -> float:
    """Set one key a command, over one connection; writes per second."""
    with _Server(directory, "redis") as server, server.connect() as connection:
        rate = _rate(connection, writes(count))
        server.check_size(count)
    return rate


def durable_put_threads(directory: Path, count: int, threads: int) -> float:
    """Set keys over several connections, each used by a thread of its own."""
    with _Server(directory, "redis") as server:

        @contextmanager
        def opened() -> Iterator[Put]:
            with server.connect() as connection:
                yield partial(connection.ask, "SET")

        rate = rate_together(count, threads, opened)
        server.check_size(count)
    return rate


def replicate_live(directory: Path, count: int) -> float:
    """Set keys in pipelines of 256 until the replica has them all; writes per second."""
    with _Server(directory, "master") as master, _Server(directory, "replica") as replica:
        _follow(replica, master, 0)
        with master.connect() as connection:
            start = time.perf_counter()
            _fill(connection, writes(count))
            connection.ask("WAIT", "1", str(int(DEADLINE_SECONDS * 1000)))
            seconds = time.perf_counter() - start
        replica.check_size(count)
    return count / seconds


def first_sync(directory: Path, count: int) -> float:
    """Let an empty replica follow a master of `count` keys; keys per second."""
    with _Server(directory, "master") as master, _Server(directory, "replica") as replica:
        with master.connect() as connection:
            _fill(connection, writes(count))
        start = time.perf_counter()
        _follow(replica, master, count)
        seconds = time.perf_counter() - start
        replica.check_size(count)
    return count / seconds


class _Connection:
    """Sends commands and reads answers."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def ask(self, *words: str) -> bytes:
        """Send a command; give its answer."""
        self._socket.sendall(_encoded(words))
        return self.answer()

    def send(self, commands: Sequence[Sequence[str]]) -> None:
        """Send several commands at once, whose answers are read later."""
        self._socket.sendall(b"".join(map(_encoded, commands)))

    def answer(self) -> bytes:
        """Read one answer: a line, or a text of a length that the line says."""
        line = self._answers.readline()
        if line[:1] in (b"", b"-"):
            raise RuntimeError(f"Redis answers {line!r}")
        if line[:1] != b"$":
            return line[1:-2]
        return self._answers.read(int(line[1:]) + 2)[:-2]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()


class _Server:
    """A server that ends with its block."""

    def __init__(self, directory: Path, name: str) -> None:
        self._executable = program("redis-server", "apt-get install redis-server")
        self._directory = directory / name
        self.port = _free_port()

    def connect(self) -> _Connection:
        return _Connection(self.port)

    def check_size(self, count: int) -> None:
        """Refuse a rate of writes that are not there."""
        with self.connect() as connection:
            found = int(connection.ask("DBSIZE"))
        if found != count:
            raise RuntimeError(f"Redis holds {found} of {count} writes")

    def __enter__(self) -> Self:
        self._directory.mkdir()
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "repl-diskless-sync-delay": "0",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([self._executable, *words], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("redis-server does not answer")
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        with suppress(OSError, RuntimeError), self.connect() as connection:
            return connection.ask("PING") == b"PONG"
        return False


def _rate(connection: _Connection, pairs: list[tuple[str, str]]) -> float:
    start = time.perf_counter()
    for key, value in pairs:
        connection.ask("SET", key, value)
    return len(pairs) / (time.perf_counter() - start)


def _fill(connection: _Connection, pairs: list[tuple[str, str]]) -> None:
    for first in range(0, len(pairs), BATCH_WRITES):
        some = pairs[first : first + BATCH_WRITES]
        connection.send([("SET", key, value) for key, value in some])
        for _ in some:
            connection.answer()


def _follow(replica: _Server, master: _Server, count: int) -> None:
    """Let one server follow another one, and wait until it has its keys."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with replica.connect() as connection:
        connection.ask("REPLICAOF", "127.0.0.1", str(master.port))
        while True:
            is_up = b"master_link_status:up" in connection.ask("INFO", "replication")
            if is_up and int(connection.ask("DBSIZE")) == count:
                return
            if time.monotonic() > deadline:
                raise RuntimeError("the replica does not follow")
            time.sleep(POLL_SECONDS)


def _encoded(words: Sequence[str]) -> bytes:
    parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
    return "".join(parts).encode("ascii")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
