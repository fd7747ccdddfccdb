"""A gateway that measures while its uplink is away, and a collector that takes what it brings.

    python examples/sensor_gateway.py gateway --peer collector@127.0.0.1:4042
    python examples/sensor_gateway.py collector --port 4042

The gateway makes each round of readings durable as one record. The collector appends what arrives
to readings.csv and then removes it, which removes it at the gateway too. Start them in any order,
end either one (Ctrl-C, or kill -9) and start it again. While the collector is away the gateway
keeps the latest readings, and drops the oldest when it has too many.
"""

import argparse
import csv
import os
import random
import sys
import time
from pathlib import Path

from softadastra import Client, ClientOptions, SoftadastraError

SENSORS = ("temperature", "humidity", "pressure", "light")


def measure(sensor: str) -> float:
    """Read a sensor; a real one comes here."""
    return round(random.gauss({"temperature": 21.0, "humidity": 40.0}.get(sensor, 1000.0)), 2)


def gateway(node: Client, keep: int, every_seconds: float) -> None:
    """Measure for ever, and keep at most so many readings."""
    dropped = 0
    while True:
        moment = f"{time.time_ns() // 1_000_000:013}"  # keys in the order of time
        waiting = [*node.keys("reading/"), *(f"reading/{moment}/{sensor}" for sensor in SENSORS)]
        oldest = waiting[: max(0, len(waiting) - keep)]
        with node.batch() as batch:  # one record, one sync of the disk: all of it or nothing
            for sensor in SENSORS:
                batch.put(f"reading/{moment}/{sensor}", measure(sensor))
            for key in oldest:
                batch.remove(key)
        dropped += len(oldest)
        kept = len(waiting) - len(oldest)
        print(f"readings that wait: {kept}, that were dropped: {dropped}", flush=True)
        time.sleep(every_seconds)


def collector(node: Client, path: Path, every_seconds: float) -> None:
    """Move what has arrived into a file, for ever."""
    total = 0
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
        while True:
            arrived = list(node.items("reading/"))
            for key, value in arrived:
                _, moment, sensor = key.split("/")
                rows.writerow([moment, sensor, value])
            # Removed only when it is safe elsewhere. If this process dies in between, a reading
            # comes twice, with the same moment and sensor; none is lost.
            file.flush()
            os.fsync(file.fileno())
            with node.batch() as batch:
                for key, _ in arrived:
                    batch.remove(key)
            if arrived:
                total += len(arrived)
                print(f"readings in {path.name}: {total}", flush=True)
            time.sleep(every_seconds)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Readings that survive an uplink that is away.")
    arguments.add_argument("role", choices=["gateway", "collector"])
    arguments.add_argument("--port", type=int, default=0, help="the port for peers")
    arguments.add_argument("--peer", action="append", default=[], metavar="ID@HOST:PORT")
    arguments.add_argument("--data", type=Path, default=Path("data"), help="where files are kept")
    arguments.add_argument("--keep", type=int, default=10_000, help="the most readings that wait")
    arguments.add_argument("--every", type=float, default=1.0, metavar="SECONDS")
    chosen = arguments.parse_args()
    options = ClientOptions.persistent(
        chosen.role,
        chosen.data / f"{chosen.role}.wal",
        peers=chosen.peer,
        # That a reading was removed is remembered until the other one knows it, so that it does
        # not come back; for whoever is away for longer than an hour, no more.
        max_offline=3600.0,
    )
    try:
        with Client(options.with_local_transport(chosen.port)) as node:
            node.start_transport()
            if chosen.role == "gateway":
                gateway(node, chosen.keep, chosen.every)
            else:
                collector(node, chosen.data / "readings.csv", chosen.every)
    except SoftadastraError as error:  # as of a port or a log that another process has
        sys.exit(f"error: {error.message}")
    except KeyboardInterrupt:
        pass
