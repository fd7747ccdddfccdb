"""avahi on a host of a test network: another implementation of multicast DNS, to ask and to tell.

It has a system bus of its own, in a mount namespace of its own, because the paths of both are built
into it: an avahi of this machine is not touched.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from softadastra.testing import wait_until
from tests.network.namespaces import ETHERNET, Host, Network, end, requirements

__all__ = ["Avahi", "Service", "avahi"]

DEADLINE_SECONDS = 30.0

CONFIGURATION = f"""\
[server]
use-ipv4=yes
use-ipv6=yes
allow-interfaces={ETHERNET}
enable-dbus=yes
disallow-other-stacks=no

[publish]
publish-workstation=no
publish-hinfo=no
"""


class Service(NamedTuple):
    """A service, as avahi-browse tells of it."""

    name: str
    host: str
    address: str
    port: int
    text: frozenset[str]


class Avahi:
    """A running avahi-daemon.

    Args:
        network: where its processes end.
        host: where it runs.
        holder: the process whose namespaces it is in.
        directory: of what it tells.
    """

    def __init__(self, network: Network, host: Host, holder: int, directory: Path) -> None:
        self._network = network
        self._host = host
        self._directory = directory
        self._inside = ("nsenter", "--target", str(holder), "--mount", "--net")

    def start(self) -> None:
        """Start the bus and the daemon, and wait until it answers."""
        configuration = self._directory / "avahi.conf"
        configuration.write_text(CONFIGURATION)
        self._run("mkdir", "-p", "/run/dbus")
        self._begin("dbus-daemon", "--system", "--nofork", "--nopidfile")
        assert wait_until(lambda: self._succeeds("test", "-S", "/run/dbus/system_bus_socket"), 30)
        self._begin(
            *("avahi-daemon", "--file", str(configuration)),
            *("--no-drop-root", "--no-chroot", "--no-rlimits"),
        )
        assert wait_until(lambda: self._succeeds("avahi-browse", "-ta"), DEADLINE_SECONDS)

    def browse(self, kind: str) -> set[Service]:
        """Give the services of a type, as "_softadastra._tcp", that are known by now."""
        lines = self._run("avahi-browse", "--resolve", "--terminate", "--parsable", kind)
        found = set()
        for line in lines.splitlines():
            fields = line.split(";")
            if fields[0] == "=":
                texts = frozenset(fields[9].strip('"').split('" "'))
                found.add(Service(fields[3], fields[6], fields[7], int(fields[8]), texts))
        return found

    def publish(self, name: str, kind: str, port: int, *texts: str) -> None:
        """Announce a service of this host until the network ends."""
        self._begin("avahi-publish", "--service", name, kind, str(port), *texts)

    def _begin(self, *command: str) -> None:
        log = self._directory / f"{command[0]}.log"
        self._network.start(self._host, *self._inside, *command, log=log)

    def _run(self, *command: str) -> str:
        return self._host.run(*self._inside, *command)

    def _succeeds(self, *command: str) -> bool:
        done = subprocess.run([*self._host.launcher, *self._inside, *command], capture_output=True)
        return done.returncode == 0


@contextmanager
def avahi(network: Network, host: Host, directory: Path) -> Iterator[Avahi]:
    """Run avahi on a host."""
    for tool, package in {
        "dbus-daemon": "dbus",
        "avahi-daemon": "avahi-daemon",
        "avahi-browse": "avahi-utils",
        "avahi-publish": "avahi-utils",
        "nsenter": "util-linux",
        "unshare": "util-linux",
    }.items():
        requirements.need_tool(tool, package)
    # Its end is the end of the namespace: it reads a pipe that nobody writes to.
    own_run = "mount -t tmpfs tmpfs /run && echo ready && exec cat"
    holder = subprocess.Popen(
        [*host.launcher, "unshare", "--mount", "sh", "-c", own_run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        running = Avahi(network, host, holder.pid, directory)
        running.start()
        yield running
    finally:
        holder.communicate()
        end(holder)
