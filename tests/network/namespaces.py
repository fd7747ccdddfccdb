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
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from softadastra.testing.history import WriteHistory
from softadastra.testing.local_node import LocalNode
from tests.requirements import Requirements, run

__all__ = ["BRIDGE", "ETHERNET", "Host", "Network", "lan", "requirements"]

requirements: Final = Requirements("NETWORK_MUST_RUN")

ETHERNET: Final = "eth0"
"""The interface of each host."""

BRIDGE: Final = "br0"
"""The interface of the switch that everything passes."""

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
        self.port = port
        self.address = ""
        """Its first IPv4 address; empty: it has none."""
        self.launcher: tuple[str, ...] = (ip(), "netns", "exec", namespace)
        """What a program is to be started by, to run on this host; it keeps its process id."""
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
        self.address = addresses[0].partition("/")[0] if addresses else ""
        for address in addresses:
            self.ip("address", "add", address, "dev", ETHERNET)

    def unplug(self) -> None:
        """Pull the cable: the interface stays up and keeps its addresses, without a link."""
        run(ip(), "-netns", self._switch, "link", "set", self.port, "down")

    def plug(self) -> None:
        """Put the cable back."""
        run(ip(), "-netns", self._switch, "link", "set", self.port, "up")

    def close_door(self, port: int) -> None:
        """Let nobody connect to a port; connections from this host go on."""
        requirements.need_tool("nft", "nftables")
        self.run(
            "nft",
            "add table inet door; "
            "add chain inet door closed { type filter hook input priority 0; }; "
            f"add rule inet door closed tcp dport {port} ct state new drop",
        )

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Answer each TCP segment that comes to this host or leaves it with a reset.

        Both ends of a connection over which anything is sent meanwhile lose it.
        """
        requirements.need_tool("nft", "nftables")
        # Not the resets themselves, which pass here as well.
        reset = "tcp flags & rst == 0 reject with tcp reset"
        chains = (
            f"add chain inet resets {hook} {{ type filter hook {hook} priority 0; }}; "
            f"add rule inet resets {hook} {reset}"
            for hook in ("input", "output")
        )
        self.run("nft", "; ".join(("add table inet resets", *chains)))
        try:
            yield
        finally:
            self.run("nft", "delete table inet resets")


class Network:
    """A switch, and the hosts on it.

    Args:
        prefix: what its namespaces are called by.
        stack: what is ended with it.
    """

    def __init__(self, prefix: str, stack: ExitStack) -> None:
        self.history = WriteHistory()
        """Every write that was sent to nodes of this network."""
        self.hosts: list[Host] = []
        self._prefix = prefix
        self._stack = stack
        self.switch = self._namespace("switch")
        """The namespace of the switch."""
        run(
            *(ip(), "-netns", self.switch, "link", "add", BRIDGE, "type", "bridge"),
            # It would ask who wants which multicast, and drop what nobody has asked for yet.
            *("mcast_snooping", "0"),
        )
        run(ip(), "-netns", self.switch, "link", "set", BRIDGE, "up")

    def host(self, name: str, *addresses: str) -> Host:
        """Add a host with these addresses, as "10.77.0.1/24"; IPv6 gives itself one."""
        namespace = self._namespace(name)
        host = Host(name, namespace, f"port{len(self.hosts)}", self.switch)
        self.hosts.append(host)
        run(
            *(ip(), "-netns", self.switch, "link", "add", host.port, "type", "veth"),
            *("peer", "name", ETHERNET, "netns", namespace),
        )
        self.join(host)
        host.ip("link", "set", "lo", "up")
        host.readdress(*addresses)
        host.ip("link", "set", ETHERNET, "up")
        return host

    def join(self, host: Host) -> None:
        """Let the switch serve a host's port."""
        run(ip(), "-netns", self.switch, "link", "set", host.port, "master", BRIDGE, "up")

    def leave(self, host: Host) -> None:
        """Let the switch leave a host's port to somebody else; the cable stays plugged in."""
        run(ip(), "-netns", self.switch, "link", "set", host.port, "nomaster")

    def drop(self, source: Host, target: Host) -> None:
        """Let the switch carry nothing from one host to another; the way back stays open.

        No host notices: its cable is plugged in, its interface up.
        """
        requirements.need_tool("nft", "nftables")
        chain = "{ type filter hook forward priority 0; }"
        self._filter(
            "add table bridge faults",
            f"add chain bridge faults dropping {chain}",
            f'add rule bridge faults dropping iifname "{source.port}" oifname "{target.port}" drop',
        )

    def partition(self, some: Collection[Host], others: Collection[Host]) -> None:
        """Let the switch carry nothing between some hosts and others."""
        for one in some:
            for other in others:
                self.drop(one, other)
                self.drop(other, one)

    def heal(self) -> None:
        """Let the switch carry everything again."""
        self._filter("add table bridge faults", "delete table bridge faults")

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
            history=self.history,
            host=host.address or listen_on,
            listen_on=listen_on,
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

    def _filter(self, *commands: str) -> None:
        run(ip(), "netns", "exec", self.switch, "nft", "; ".join(commands))

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
