"""A pool of worker processes that share a configuration: change it, and all have it at once.

    python examples/worker_pool.py

Type a setting and its value, as `greeting hello`, and press Enter: each worker shows it. Kill a
worker (kill -9 and the number that it shows): it is started again, and has the configuration as it
is by then. End with Ctrl-D or Ctrl-C and start again: the configuration was kept on disk.

The pool is the node that keeps it. Each worker is a node in memory, so that a look at the
configuration is a look into its own process: no file, no socket, no cache that may be stale.
"""

import argparse
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from softadastra import Client, ClientOptions, Peer, SoftadastraError, Value

PROCESSES = multiprocessing.get_context("spawn")
"""A node has threads, which a forked child would lack; see Client.close."""

JOB_SECONDS = 0.1


def tell(words: str) -> None:
    print(f"{words}\n", end="", flush=True)  # in one piece: several processes write at once


def work(name: str, pool: Peer, stop: Connection) -> None:
    """Do jobs, each by the configuration of its moment, until the pool ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the pool says when to end
    shown: dict[str, Value] = {}
    options = ClientOptions.memory_only(name, peers=[pool]).with_local_transport()
    with Client(options) as node:
        node.start_transport()
        while not stop.poll(JOB_SECONDS):  # a job of yours comes here
            for setting, value in node.items("config/"):
                if shown.get(setting) != value:
                    shown[setting] = value
                    words = f"{setting.removeprefix('config/')} is {value!r}"
                    tell(f"{name} (process {os.getpid()}): {words}")


def supervise(name: str, pool: Peer, stop: Connection) -> None:
    """Run a worker, and a new one whenever it dies."""
    while not stop.poll():
        worker = PROCESSES.Process(target=work, args=(name, pool, stop), name=name)
        worker.start()
        worker.join()
        if not stop.poll():
            tell(f"{name} has died and is started again")


def main(count: int, path: Path) -> None:
    # When the writing end is closed, also by the death of this process, `stop` can be read.
    stop, running = PROCESSES.Pipe(duplex=False)
    options = ClientOptions.persistent("pool", path).with_local_transport()
    with Client(options) as node:
        node.start_transport()
        assert node.transport_port is not None, "it was just started"
        pool = Peer.local("pool", node.transport_port)
        names = [f"worker-{number}" for number in range(1, count + 1)]
        workers = [Thread(target=supervise, args=(name, pool, stop)) for name in names]
        for worker in workers:
            worker.start()
        try:
            tell(f"{count} workers; type a setting and its value; Ctrl-D ends")
            for line in sys.stdin:
                setting, _, value = line.strip().partition(" ")
                if setting:
                    node[f"config/{setting}"] = value.strip()
        except KeyboardInterrupt:
            pass
        finally:
            running.close()
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Workers that share a configuration.")
    arguments.add_argument("--workers", type=int, default=3, help="how many (default: 3)")
    arguments.add_argument("--wal", type=Path, default=Path("data/pool.wal"))
    chosen = arguments.parse_args()
    try:
        main(chosen.workers, chosen.wal)
    except SoftadastraError as error:  # as of a log that another pool has
        sys.exit(f"error: {error.message}")
