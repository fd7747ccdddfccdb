"""A process that writes as fast as it can, tells each write that has returned, and may be killed.

    python -m tests.faults.writer

It reads the lives that it is to have, a JSON array a line (`Life`). Each is a fork, which spares it
the imports. What happens is told on standard output, a line each, in one call to the system, so
that a pipe keeps it whatever happens to the process:

    begun PID               before anything else
    opened                  what the log held is in the file, and the writes begin
    answered THREAD NUMBER  that write has returned
    refused THREAD NUMBER MESSAGE
                            that write has raised, and the thread writes no more
    ended STATUS            the life is over, as waitpid tells it
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from softadastra import Client, ClientOptions, StorageError
from softadastra.errors import InvalidStateError

NODE_ID = "node-a"
THREADS = 3
"""They share syncs, so that groups of writes are cut too."""

Change: TypeAlias = tuple[str, str | None]
"""A key and its new value; None: it is removed."""


class Load(NamedTuple):
    """What is written."""

    keys: int
    """Of each thread."""
    value_bytes_max: int


class Life(NamedTuple):
    """What one life is to do."""

    path: str
    """Of the log."""
    first: list[int]
    """The number of the first write of each thread."""
    load: Load
    held_path: str
    """Where to put what the log holds when it is opened."""


def changes_of(thread: int, number: int, load: Load) -> list[Change]:
    """What the write of this number does: a put, now and then a batch of two or a remove.

    Threads share no key, so what each wrote is there in its order.
    """
    key, other = (f"{thread}/{n % load.keys}" for n in (number, number + load.keys // 2))
    value = f"{number}:" + "v" * (number * 37 % load.value_bytes_max)
    if number % 8 == 7:
        return [(key, None)]
    return [(key, value), (other, f"and {value}")] if number % 8 == 3 else [(key, value)]


def main() -> None:
    """Have one life after the other, until the input ends."""
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            try:
                path, first, load, held_path = json.loads(line)
                live(Life(path, first, Load(*load), held_path))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        tell("ended", os.waitstatus_to_exitcode(status))


def live(life: Life) -> None:
    """Open the log, tell what it holds, and write until nothing can be written any more."""
    tell("begun", os.getpid())
    client = Client(ClientOptions.persistent(NODE_ID, life.path)).open()
    Path(life.held_path).write_text(json.dumps(dict(client)))
    tell("opened")
    threads = [
        threading.Thread(target=write, args=(client, thread, life)) for thread in range(THREADS)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    client.close()
    os._exit(0)


def write(client: Client, thread: int, life: Life) -> None:
    """Write until it is refused."""
    number = life.first[thread]
    while True:
        try:
            apply(client, changes_of(thread, number, life.load))
        except (StorageError, InvalidStateError) as error:
            tell("refused", thread, number, error.message)
            return
        tell("answered", thread, number)
        number += 1


def apply(client: Client, changes: list[Change]) -> None:
    """Make one write."""
    match changes:
        case [(key, None)]:
            client.remove(key)
        case [(key, value)]:
            client.put(key, value)
        case _:
            with client.batch() as batch:
                for key, value in changes:
                    batch.put(key, value)


def tell(*words: Any) -> None:
    """Say it in one call: a line below 4 KiB goes into a pipe as a whole (pipe(7), PIPE_BUF)."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


if __name__ == "__main__":
    main()
