"""`softadastra node run`: a node in the foreground, until a signal or `node stop` ends it."""

from __future__ import annotations

import functools
import os
import re
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from softadastra.cli.command import Command
from softadastra.cli.documents import discovery_document, node_document, transport_document
from softadastra.cli.invocation import Invocation
from softadastra.cli.notifying import notify
from softadastra.cli.numbers import Number
from softadastra.cli.output import READER_SECONDS, has_room, tell
from softadastra.cli.reaching import Reached, load_options, open_when_free, opened_here
from softadastra.cli.showing import (
    DASHBOARD_OPTIONS,
    Shown,
    announce_dashboard,
    shown,
)
from softadastra.errors import DiscoveryError, InvalidArgumentError, TransportError
from softadastra.types import Peer

if TYPE_CHECKING:
    from softadastra import Client, ClientOptions
    from softadastra.dashboard import Dashboard
    from softadastra.dashboard.addresses import Address

__all__ = ["Given", "run", "run_options", "run_until_stopped"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, what `kill`, systemd and container runtimes send, and a terminal that closes."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says of a run; None leaves a setting as it is."""

    host: str | None
    port: int | None
    peers: tuple[Peer, ...]
    discover: bool | None
    security: str | None
    insecure: bool | None
    log_level: str | None
    log_format: str | None
    dashboard_address: Address | None
    dashboard_token_file: Path | None
    dashboard_names: tuple[str, ...]

    @property
    def dashboard(self) -> Shown:
        """What it says of a dashboard.

        Raises:
            click.UsageError: its options do not go together.
        """
        return Shown(
            address=self.dashboard_address,
            token_file=self.dashboard_token_file,
            names=self.dashboard_names,
        )

    def options(self, invocation: Invocation) -> ClientOptions:
        """Read the settings of the node.

        Raises:
            InvalidArgumentError: they cannot be used; told with their names on the command line.
        """
        settings: dict[str, Any] = {
            "enable_transport": True,
            "transport_host": self.host,
            "transport_port": self.port,
            "peers": self.peers or None,
            "enable_discovery": self.discover,
            "security": self.security,
            "insecure": self.insecure,
        }
        options = load_options(invocation, **settings)
        if options.enable_discovery and (options.security or options.insecure):
            # Who wants to be found on the network is reached there, unless a setting says where.
            options = load_options(invocation, {"transport_host": EVERYWHERE}, **settings)
        _validate(options)
        return options

    def arguments(self) -> list[str]:
        """Write them as a command line."""
        valued = {"--host": self.host, "--port": self.port, "--security": self.security}
        valued |= {"--log-level": self.log_level, "--log-format": self.log_format}
        flags = {"--discover": self.discover, "--insecure": self.insecure}
        return [
            *(f"{name}={value}" for name, value in valued.items() if value is not None),
            *(f"--peer={peer}" for peer in self.peers),
            *(name for name, is_given in flags.items() if is_given),
            *self.dashboard.arguments(),
        ]


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a run, which it takes as one `Given`."""

    @functools.wraps(command)
    def take(**values: Any) -> None:
        given = Given(**{field.name: values.pop(field.name) for field in fields(Given)})
        command(given, **values)

    decorated: Callable[..., None] = take
    for option in reversed(RUN_OPTIONS):
        decorated = option(decorated)
    return decorated


RUN_OPTIONS = (
    click.option(
        "--host",
        metavar="ADDRESS",
        help="Listen on this address. Default: 127.0.0.1, where only this machine reaches it; with"
        " --discover all addresses, when --security or --insecure lets the network reach it.",
    ),
    click.option(
        "--port",
        type=Number(int, 0, 65535),
        metavar="PORT",
        help="Listen on this port (default: a free one).",
    ),
    click.option(
        "--peer",
        "peers",
        multiple=True,
        callback=lambda _context, _parameter, texts: _parse_peers(texts),
        metavar="ID@HOST:PORT",
        help="Connect to this node; may be given several times.",
    ),
    click.option(
        "--discover",
        is_flag=True,
        default=None,
        help="Find the nodes of this cluster on the network of --host, and let them find this one.",
    ),
    click.option(
        "--security",
        metavar="curve",
        help="Encrypt connections, and let in trusted keys only; see `softadastra keys`.",
    ),
    click.option(
        "--insecure",
        is_flag=True,
        default=None,
        help="Consent to listen beyond this machine without --security: whoever reaches it comes"
        " in.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="The least that is logged on standard error (default: info).",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["console", "json"]),
        help="For people, or one JSON object a line (default: console; json when detached).",
    ),
    *DASHBOARD_OPTIONS,
)


@click.command("run", cls=Command)
@run_options
@click.pass_obj
def run(invocation: Invocation, given: Given) -> None:
    """Run this node until Ctrl-C or SIGTERM.

    Either one is its regular end, as is `node stop`: it exits with 0. The first line of the output
    says, once the node listens, who it is and where.
    """
    run_until_stopped(invocation, given)


def run_until_stopped(invocation: Invocation, given: Given) -> None:
    """Run the node that the command line names, until it is asked to end."""
    from softadastra import Client, configure_logging

    options, asked = given.options(invocation), given.dashboard
    configure_logging(
        level=given.log_level or _log_level(invocation.verbosity),
        format=given.log_format or "console",
        colors=False if invocation.no_color else None,
    )
    with closing(_Ending()) as ending:
        client = Client(options, stop=ending.ask)
        # First of all, so that a node whose port is taken does nothing; and until the very end.
        with shown(asked, client) as dashboard, closing(client):
            open_when_free(client)
            # Closed within: who presses Ctrl-C again interrupts no orderly end.
            with ending.on_signals(), ExitStack() as ends:
                if dashboard is not None:
                    ends.callback(dashboard.close)
                ends.callback(client.close)
                _run(invocation, client, ending, asked, dashboard)
    if sys.stdout.isatty() and has_room(sys.stderr, READER_SECONDS):
        tell("")  # behind the ^C that the terminal shows
        invocation.output.note("Softadastra node stopped.")


def _run(
    invocation: Invocation,
    client: Client,
    ending: _Ending,
    asked: Shown,
    dashboard: Dashboard | None,
) -> None:
    """Run a node that is open, until it is to end."""
    options = client.options
    client.start_transport()
    if options.enable_discovery:
        with suppress(DiscoveryError):  # told as the event discovery.failed
            client.start_discovery()
    wal_path = options.resolved_wal_path() if options.enable_wal else None
    reached = opened_here(client, wal_path, pid=os.getpid())
    if _is_read(sys.stdout, ending):
        _announce(invocation, reached, asked, dashboard)
    notify("READY=1")
    while not ending.is_asked():
        if not client.transport_running:
            raise TransportError(
                "the transport has failed, see the event reactor.failed; the node stops, so"
                " that whoever started it can start it again"
            )
    notify("STOPPING=1")


def _is_read(stream: TextIO, ending: _Ending) -> bool:
    """Wait until a stream takes what a script waits for; False: the run is to end before."""
    while not has_room(stream, READER_SECONDS):
        if ending.is_asked(wait_seconds=0):
            return False
    return True


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


def _announce(
    invocation: Invocation, reached: Reached, asked: Shown, dashboard: Dashboard | None
) -> None:
    """Say who runs and where, at once: a script waits for the line to read the port from it."""
    peers, options = reached.node.peers(), reached.options
    transport = transport_document(reached, peers)
    if invocation.json:
        invocation.output.document(
            {
                "node": node_document(reached),
                "transport": transport,
                "discovery": discovery_document(reached, peers),
                "dashboard": asked.document(dashboard),
            }
        )
    else:
        kept = "nothing kept on disk" if reached.wal_path is None else f"WAL {reached.wal_path}"
        place = f"{transport['host']}:{transport['port']}"
        invocation.output.sentence(
            f"Softadastra node running. Node {options.node_id} on {place}, {kept}"
        )
        announce_dashboard(invocation.output, asked, dashboard)
    sys.stdout.flush()
    if options.security is not None and not _trusts_anybody(options):
        invocation.output.note_if_read(
            "No key is trusted yet, so nobody is let in: softadastra keys trust, or pair"
        )
    if sys.stdout.isatty():
        invocation.output.note_if_read("Press Ctrl+C to stop.")


def _trusts_anybody(options: ClientOptions) -> bool:
    from softadastra.security.trust_file import TrustFile

    return bool(TrustFile(options.resolved_trust_path()).load().by_node)


class _Ending:
    """How a run comes to its end: by a signal, or by `node stop`.

    A handler that set a `threading.Event` could run while this very thread holds the event's
    lock, and wait for itself for ever. A byte in a socket pair has no lock.
    """

    def __init__(self) -> None:
        self._waiting, self._asking = socket.socketpair()
        self._asking.setblocking(False)

    def ask(self) -> None:
        """End the run. From any thread; it ends once, however often it is asked to."""
        with suppress(BlockingIOError):
            self._asking.send(b"\0")

    def is_asked(self, wait_seconds: float = LOOK_SECONDS) -> bool:
        """Wait for at most so long, and tell whether the run is to end."""
        return bool(select.select([self._waiting], [], [], wait_seconds)[0])

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let the stop signals ask for the end; it is asked for once, however often they come.

        Under nohup a terminal that closes ends nothing. A shell's `&` ignores Ctrl-C too, but who
        sends SIGINT to one process means it.
        """
        heeded = set(STOP_SIGNALS)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            heeded.remove(signal.SIGHUP)
        previous_descriptor = signal.set_wakeup_fd(self._asking.fileno())
        previous = {each: signal.signal(each, lambda *_: None) for each in heeded}
        try:
            yield
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(previous_descriptor)

    def close(self) -> None:
        """Let go of the sockets."""
        self._waiting.close()
        self._asking.close()
