"""Hosts on a network: namespaces on one bridge, which a test makes and which go with it.

    with lan() as network:
        a, b = network.host("a", "10.77.0.1/24"), network.host("b", "10.77.0.2/24")
        node = network.node(b, "node-b", directory, enable_discovery=True)

Each host is a network namespace with a loopback interface and one Ethernet interface, whose other
end is a port of a switch: a bridge in a namespace of its own. No packet leaves it. Names begin with
the number of this process, so that several runs do not meet.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from softadastra.testing.history import WriteHistory
from softadastra.testing.local_node import LocalNode
from tests.requirements import Requirements, run

__all__ = ["ETHERNET", "Host", "Network", "lan", "requirements"]

requirements: Final = Requirements("NETWORK_MUST_RUN")

ETHERNET: Final = "eth0"
"""The interface of each host."""

_numbers = itertools.count(1)


class Host:
    """One machine of the network.

    Args:
        name: unique in its network.
        namespace: its network namespace.
        port: the switch's end of its cable.
        switch: the namespace of the switch.
    """

    def __init__(self, name: str, namespace: str, port: str, switch: str) -> None:
        self.name = name
        self.namespace = namespace
        self.launcher: tuple[str, ...] = (ip(), "netns", "exec", namespace)
        """What a program is to be started by, to run on this host; it keeps its process id."""
        self._port = port
        self._switch = switch

    def run(self, *command: str) -> str:
        """Run a program on this host that has to succeed, and give what it prints."""
        return run(*self.launcher, *command)

    def ip(self, *arguments: str) -> str:
        """Change or show the host's interfaces."""
        return run(ip(), "-netns", self.namespace, *arguments)

    def readdress(self, *addresses: str) -> None:
        """Give the Ethernet interface these IPv4 addresses with their prefixes, and no others."""
        self.ip("-4", "address", "flush", "dev", ETHERNET)
        for address in addresses:
            self.ip("address", "add", address, "dev", ETHERNET)

    def unplug(self) -> None:
        """Pull the cable: the interface stays up and keeps its addresses, without a link."""
        run(ip(), "-netns", self._switch, "link", "set", self._port, "down")

    def plug(self) -> None:
        """Put the cable back."""
        run(ip(), "-netns", self._switch, "link", "set", self._port, "up")


class Network:
    """A switch, and the hosts on it.

    Args:
        prefix: what its namespaces are called by.
        stack: what is ended with it.
    """

    def __init__(self, prefix: str, stack: ExitStack) -> None:
        self._prefix = prefix
        self._stack = stack
        self._hosts: dict[str, Host] = {}
        self._switch = self._namespace("switch")
        run(
            *(ip(), "-netns", self._switch, "link", "add", "br0", "type", "bridge"),
            # It would ask who wants which multicast, and drop what nobody has asked for yet.
            *("mcast_snooping", "0"),
        )
        run(ip(), "-netns", self._switch, "link", "set", "br0", "up")

    def host(self, name: str, *addresses: str) -> Host:
        """Add a host with these addresses, as "10.77.0.1/24"; IPv6 gives itself one."""
        namespace = self._namespace(name)
        port = f"port{len(self._hosts)}"
        host = self._hosts[name] = Host(name, namespace, port, self._switch)
        run(
            *(ip(), "-netns", self._switch, "link", "add", port, "type", "veth"),
            *("peer", "name", ETHERNET, "netns", namespace),
        )
        run(ip(), "-netns", self._switch, "link", "set", port, "master", "br0", "up")
        host.ip("link", "set", "lo", "up")
        host.readdress(*addresses)
        host.ip("link", "set", ETHERNET, "up")
        return host

    def node(
        self,
        host: Host,
        node_id: str,
        directory: Path,
        *,
        listen_on: str = "0.0.0.0",
        port: int = 0,
        **options: object,
    ) -> LocalNode:
        """Start a node on a host; it ends with the network.

        Args:
            host: where.
            node_id: its name.
            directory: of its log, node_id.wal, and of what it tells, node_id.log.
            listen_on: the address that it listens on.
            port: where it listens; 0: the system picks one.
            options: fields of `ClientOptions`.
        """
        node = LocalNode(
            node_id,
            directory,
            options={"insecure": True, **options},
            log_level="debug",
            history=WriteHistory(),
            host=listen_on,
            port=port,
            launcher=host.launcher,
        )
        self._stack.callback(node.kill)
        node.restart()
        return node

    def start(self, host: Host, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program on a host, with both its outputs in a file; it ends with the network."""
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*host.launcher, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._stack.callback(end, process)
        return process

    def _namespace(self, name: str) -> str:
        namespace = f"{self._prefix}-{name}"
        run(ip(), "netns", "add", namespace)
        self._stack.callback(run, ip(), "netns", "delete", namespace)
        return namespace


def ip() -> str:
    """Give the program that makes namespaces; it is not on everybody's path."""
    return shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ip"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that may have ended."""
    process.kill()
    process.wait(60)


@contextmanager
def lan() -> Iterator[Network]:
    """Make a network, and remove it with all that runs on its hosts."""
    requirements.need(sys.platform == "linux", "network namespaces are Linux's")
    requirements.need_root("make network namespaces")
    requirements.need(shutil.which(ip()) is not None, "ip is not installed (Debian: iproute2)")
    with ExitStack() as stack:
        prefix = f"softadastra{os.getpid()}-{next(_numbers)}"
        try:
            network = Network(prefix, stack)
        except AssertionError as error:
            requirements.need(False, f"this machine makes no network namespaces: {error}")
            raise
        yield network
