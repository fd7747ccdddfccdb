"""`softadastra node`: who a node is, and running one in the foreground."""

from __future__ import annotations

import re
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.documents import discovery_document, node_document, transport_document
from softadastra.cli.invocation import Invocation
from softadastra.cli.local_node import load_options, open_node
from softadastra.cli.numbers import Number
from softadastra.cli.output import as_time, as_yes_no
from softadastra.errors import DiscoveryError, InvalidArgumentError, TransportError
from softadastra.types import Peer

if TYPE_CHECKING:
    from softadastra import Client, ClientOptions

__all__ = ["info", "node", "run"]

node = Group(
    "node",
    help="Describe this node, or run it.",
    lazy={
        "info": Lazy("softadastra.cli.node:info", "Show who this node is and what it runs on."),
        "run": Lazy("softadastra.cli.node:run", "Run this node until Ctrl-C or SIGTERM."),
    },
)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what `kill`, systemd and container runtimes send."""

OPTIONS = {
    "node_id": "--node-id",
    "wal_path": "--wal",
    "transport_host": "--host",
    "peers": "--peer",
    "enable_discovery": "--discover",
    "security": "--security",
    "insecure": "--insecure",
}
"""The options of `node run` whose problems the library tells by the names of its settings."""

EVERYWHERE = "0.0.0.0"  # noqa: S104  only with security, or with consent to go without
"""All IPv4 addresses of this machine. Where there is IPv6, `--host ::` takes both."""

LOOK_SECONDS = 5.0
"""How often a running node looks whether its transport still works."""


@click.command("info", cls=Command)
@click.pass_obj
def info(invocation: Invocation) -> None:
    """Show who this node is and what it runs on."""
    with open_node(invocation, creates=False) as local:
        found = local.client.node_info()
        document = node_document(local.client, local.wal_path, is_running=False)
    if invocation.json:
        invocation.output.document({"node": document})
        return
    invocation.output.table(
        "Node info",
        ("Field", "Value"),
        (
            ("node_id", found.node_id),
            ("display_name", found.display_name or "-"),
            ("hostname", found.hostname),
            ("os", found.os_name),
            ("version", found.version),
            ("started_at", as_time(document["started_at_ms"])),
            ("uptime_ms", document["uptime_ms"] or "-"),
            ("capabilities", len(found.capabilities)),
            ("node_running", as_yes_no(bool(document["running"]))),
        ),
    )


@click.command("run", cls=Command)
@click.option(
    "--host",
    metavar="ADDRESS",
    help="Listen on this address. Default: 127.0.0.1, where only this machine reaches it; with"
    " --discover all addresses, when --security or --insecure lets the network reach it.",
)
@click.option(
    "--port",
    type=Number(int, 0, 65535),
    metavar="PORT",
    help="Listen on this port (default: a free one).",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    callback=lambda _context, _parameter, texts: _parse_peers(texts),
    metavar="ID@HOST:PORT",
    help="Connect to this node; may be given several times.",
)
@click.option(
    "--discover",
    is_flag=True,
    default=None,
    help="Find the nodes of this cluster on the network of --host, and let them find this one.",
)
@click.option(
    "--security",
    metavar="curve",
    help="Encrypt connections, and let in trusted keys only; see `softadastra keys`.",
)
@click.option(
    "--insecure",
    is_flag=True,
    default=None,
    help="Consent to listen beyond this machine without --security: whoever reaches it comes in.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least that is logged on standard error (default: info).",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="For people, or one JSON object a line.",
)
@click.pass_obj
def run(
    invocation: Invocation,
    *,
    host: str | None,
    port: int | None,
    peers: tuple[Peer, ...],
    discover: bool | None,
    security: str | None,
    insecure: bool | None,
    log_level: str | None,
    log_format: str,
) -> None:
    """Run this node until Ctrl-C or SIGTERM.

    Either one is its regular end: it exits with 0. The first line of the output says, once the
    node listens, who it is and where.
    """
    from softadastra import Client, configure_logging

    settings: dict[str, Any] = {
        "enable_transport": True,
        "transport_host": host,
        "transport_port": port,
        "peers": peers or None,
        "enable_discovery": discover,
        "security": security,
        "insecure": insecure,
    }
    options = load_options(invocation, **settings)
    if options.enable_discovery and (options.security or options.insecure):
        # Whoever wants to be found on the network is reached there, unless a setting says where.
        options = load_options(invocation, {"transport_host": EVERYWHERE}, **settings)
    _validate(options)
    configure_logging(level=log_level or _log_level(invocation.verbosity), format=log_format)
    client = Client(options)
    client.open()
    with closing(client), _stop_signals() as is_stopped:
        client.start_transport()
        if options.enable_discovery:
            with suppress(DiscoveryError):  # told as the event discovery.failed; the rest goes on
                client.start_discovery()
        _announce(invocation, client, options)
        while not is_stopped():
            if not client.transport_running:
                raise TransportError(
                    "the transport has failed, see the event reactor.failed; the node stops, so "
                    "that whoever started it can start it again"
                )


def _parse_peers(texts: tuple[str, ...]) -> tuple[Peer, ...]:
    try:
        return tuple(map(Peer.parse, texts))
    except InvalidArgumentError as error:
        raise click.BadParameter(error.message) from error


def _validate(options: ClientOptions) -> None:
    """Check the options; what is wrong is told with its names on the command line."""
    try:
        options.validate()
    except InvalidArgumentError as error:
        settings = re.findall(r"\w+", error.message)
        found = [f"{name} is {option}" for name, option in OPTIONS.items() if name in settings]
        if found:
            error.add_note(f"On the command line {', '.join(found)}.")
        raise


def _log_level(verbosity: int) -> str:
    match verbosity:
        case -1:
            return "warning"
        case 0:
            return "info"
        case _:
            return "debug"


def _announce(invocation: Invocation, client: Client, options: ClientOptions) -> None:
    """Say who runs and where, at once: a script waits for the line to read the port from it."""
    wal_path = options.resolved_wal_path() if options.enable_wal else None
    host = options.transport_host
    if invocation.json:
        invocation.output.document(
            {
                "node": node_document(client, wal_path, is_running=True),
                "transport": transport_document(client, client.peers(), host=host),
                "discovery": discovery_document(client, client.peers()),
            }
        )
    else:
        invocation.output.line(
            f"Softadastra node running. Node {options.node_id} on {host}:{client.transport_port},"
            f" {'nothing kept on disk' if wal_path is None else f'WAL {wal_path}'}"
        )
    sys.stdout.flush()
    if options.security is not None and not _trusts_anybody(options):
        invocation.output.note(
            "No key is trusted yet, so nobody is let in: softadastra keys trust, or pair"
        )
    if sys.stdout.isatty():
        invocation.output.note("Press Ctrl+C to stop.")


def _trusts_anybody(options: ClientOptions) -> bool:
    from softadastra.security.trust_file import TrustFile

    return bool(TrustFile(options.resolved_trust_path()).load().by_node)


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the stop signals into the end of a wait; a second one ends the process the hard way.

    What it gives waits for at most LOOK_SECONDS, and tells whether a signal came.

    A handler that set a `threading.Event` could run while this very thread holds the event's
    lock, and wait for itself for ever. A byte in a socket pair has no lock.
    """
    waiting, woken = socket.socketpair()
    with waiting, woken:
        woken.setblocking(False)
        previous_descriptor = signal.set_wakeup_fd(woken.fileno())
        previous = {each: signal.signal(each, lambda *_: None) for each in STOP_SIGNALS}
        try:
            yield lambda: bool(select.select([waiting], [], [], LOOK_SECONDS)[0])
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(previous_descriptor)
