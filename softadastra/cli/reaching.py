"""Reach the node that a command line names: the one that runs, else its log.

A command asks the node that has the log open, over its control socket. When none has, it opens the
log itself, for the time of the command. What it does is the same both ways. A command that has
nothing to write makes no file: where the node has no log yet it sees an empty node in memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softadastra.cli.invocation import Invocation
from softadastra.errors import InvalidStateError, StoreError, StoreLockedError

if TYPE_CHECKING:
    from softadastra import Client, ClientOptions
    from softadastra.control.operations import Operations
    from softadastra.control.remote import RemoteNode

__all__ = [
    "Reached",
    "find_running",
    "load_options",
    "open_when_free",
    "opened_here",
    "reach_node",
    "reached_there",
    "running_node",
]

LOCK_SECONDS = 5.0
"""How long to wait for a log that another command has open, or a node that is just starting."""

LOOK_SECONDS = 0.05
"""How often to look meanwhile. A lock tells nobody when it is free, short of waiting for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A node that can be asked."""

    node: Operations
    client: Client | None
    """The node, when it is open here for this command only: then it connects to nobody by itself.
    None: it runs, here or in another process."""
    options: ClientOptions
    """The settings of this command; a node that runs may have others."""
    wal_path: Path | None
    """None when the settings say that nothing is kept on disk."""
    pid: int | None
    """The process that the node runs in; None: it is open here, for this command only."""
    host: str
    """The address that its transport listens on, or would."""
    security: str | None

    @property
    def is_running(self) -> bool:
        """Whether it is more than open for this command."""
        return self.pid is not None


def load_options(
    invocation: Invocation, defaults: Mapping[str, Any] | None = None, **overrides: Any
) -> ClientOptions:
    """Read the settings of the node that the command line names.

    Args:
        invocation: the common options, which are the strongest.
        defaults: fields that are weaker than all settings.
        overrides: fields that the command itself sets; None leaves a field as it is.

    Raises:
        InvalidArgumentError: a setting is unknown or wrong.
        StorageError: the settings file cannot be read.
    """
    from softadastra import ClientOptions

    named = {"node_id": invocation.node_id, "wal_path": invocation.wal, **overrides}
    given = {name: value for name, value in named.items() if value is not None}
    options = ClientOptions.load(invocation.config, defaults=defaults, **given)
    is_named = invocation.node_id is not None or options.node_id != ClientOptions().node_id
    if options.enable_wal and not is_named:
        options.node_id = _owner(options) or options.node_id
    return options


def _owner(options: ClientOptions) -> str | None:
    """Tell whose log a path leads to, so that `--wal` alone is enough to name a node.

    None where that cannot be read: whoever needs the log says so, and others do without.
    """
    from softadastra.wal.frames import FILE_HEADER_BYTES, decode_file_header

    path = options.resolved_wal_path()
    try:
        with path.open("rb") as file:
            header, _ = decode_file_header(file.read(FILE_HEADER_BYTES), path)
    except (OSError, StoreError):
        return None
    return header.node_id


@contextmanager
def reach_node(invocation: Invocation, *, creates: bool, **overrides: Any) -> Iterator[Reached]:
    """Reach the node, until the block ends.

    Args:
        invocation: the common options.
        creates: whether to make a write-ahead log where there is none; otherwise the command
            sees an empty node in memory.
        overrides: further fields of `ClientOptions`, for a node that is opened here; None leaves a
            field as it is.

    Raises:
        InvalidStateError: a log is to be made, and the settings keep nothing on disk.
        NodeSilentError: the node runs and does not answer.
        StoreLockedError: another process has the log open, and answers no commands.
        SoftadastraError: as `Client.open`.
    """
    given = {"auto_tick": False, "enable_control": False} | overrides
    options = load_options(invocation, **given)
    if creates and not options.enable_wal:
        raise InvalidStateError(
            f"node {options.node_id!r} keeps nothing on disk (enable_wal is false), so what this"
            " command writes would be lost at its end: set enable_wal, or write from the program"
            " that runs the node"
        )
    options.validate()
    wal_path = options.resolved_wal_path() if options.enable_wal else None
    if not creates and (wal_path is None or not wal_path.exists()):
        options.enable_wal = False
        where = "without a write-ahead log" if wal_path is None else f"no log at {wal_path} yet"
        invocation.output.note(f"Node {options.node_id} is empty: {where}.")
    with _events_on_standard_error(invocation):
        reached, leave = _reach(options, wal_path)
        try:
            yield reached
        finally:
            leave()


def opened_here(client: Client, wal_path: Path | None, *, pid: int | None = None) -> Reached:
    """Give a node that is open in this process; with `pid`, one that runs in it."""
    options = client.options
    return Reached(
        node=client,
        client=client if pid is None else None,
        options=options,
        wal_path=wal_path,
        pid=pid,
        host=options.transport_host,
        security=options.security,
    )


def find_running(options: ClientOptions) -> RemoteNode | None:
    """Look for the node that has the log of these settings open; None when none answers.

    Raises:
        NodeSilentError: it runs and does not answer.
        StoreError: it is another node than these settings name.
    """
    from softadastra.control.remote import find_node

    found = find_node(options.resolved_wal_path(), node_id=options.node_id)
    if found is not None and found.about.node_id != options.node_id:
        found.close()
        raise StoreError(
            f"{options.resolved_wal_path()} is the log of node {found.about.node_id!r}, which runs"
            f" as process {found.about.pid}: expected {options.node_id!r}; name that node, or"
            " another log",
            node_id=found.about.node_id,
        )
    return found


def running_node(invocation: Invocation) -> RemoteNode:
    """Reach the node that the command line names, which has to run; close it in the end.

    Raises:
        NodeAbsentError: it does not run.
        NodeSilentError: it runs and does not answer.
        StoreLockedError: another process has its log open, and answers no commands.
        StoreError: it is another node than these settings name.
    """
    from softadastra.control.unreachable import NodeAbsentError
    from softadastra.wal.disk import OsDisk
    from softadastra.wal.lock import holder_of

    options = load_options(invocation)
    options.validate()
    patience = _Patience()
    while options.enable_wal:
        running = find_running(options)
        if running is not None:
            return running
        path = options.resolved_wal_path()
        holder = holder_of(path, disk=OsDisk())
        if holder is None:
            break
        if patience.is_over(holder.pid):
            raise StoreLockedError(
                f"{path} is open in process {holder.pid or 'unknown'}, which answers no commands:"
                " ask in the program that runs there, or set enable_control in it",
                pid=holder.pid,
                node_id=holder.node_id,
            )
        time.sleep(LOOK_SECONDS)
    raise NodeAbsentError(
        f"Softadastra node is not running: none answers for {options.node_id}.",
        node_id=options.node_id,
    )


def _reach(options: ClientOptions, wal_path: Path | None) -> tuple[Reached, Callable[[], None]]:
    """Find the node that runs, or open its log; wait for whoever has it open for a moment.

    Returns:
        The node, and what ends it or the connection with it.
    """
    patience = _Patience()
    while True:
        running = find_running(options) if options.enable_wal else None
        if running is not None:
            return reached_there(running, options), running.close
        from softadastra import Client  # most of a command's time, where no node runs

        try:
            client = Client(options).open()
        except StoreLockedError as error:
            if patience.is_over(error.context.get("pid")):
                raise
        else:
            return opened_here(client, wal_path), client.close
        time.sleep(LOOK_SECONDS)


def open_when_free(client: Client) -> Client:
    """Open a client that is to run; wait for a command that has its log open for a moment.

    Raises:
        StoreLockedError: a node runs on it, or who has it open does not let go.
        SoftadastraError: as `Client.open`.
    """
    patience = _Patience()
    while True:
        try:
            return client.open()
        except StoreLockedError as error:
            running = find_running(client.options)
            if running is not None:
                running.close()
            if running is not None or patience.is_over(error.context.get("pid")):
                raise
        time.sleep(LOOK_SECONDS)


class _Patience:
    """The wait for who has a log open: LOCK_SECONDS for each process.

    A node that has just taken it answers in a moment, however long other commands had it before.
    """

    def __init__(self) -> None:
        self._holder: object = self  # no process yet
        self._until = 0.0

    def is_over(self, holder: object) -> bool:
        """Whether the process that has it now has had it for too long."""
        if holder != self._holder:
            self._holder, self._until = holder, time.monotonic() + LOCK_SECONDS
        return time.monotonic() >= self._until


def reached_there(running: RemoteNode, options: ClientOptions) -> Reached:
    """Give a node that runs in another process."""
    about = running.about
    return Reached(
        node=running,
        client=None,
        options=options,
        wal_path=options.resolved_wal_path(),
        pid=about.pid,
        host=about.host,
        security=about.security,
    )


class _Graded(logging.Formatter):
    """Says of an event how grave it is, as errors of commands do."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname.lower()}: {super().format(record)}"


@contextmanager
def _events_on_standard_error(invocation: Invocation) -> Iterator[None]:
    """Show the node's events: warnings without being asked, as a torn tail that was cut off."""
    verbosity = invocation.verbosity
    if verbosity > 0:
        from softadastra import configure_logging

        level = "info" if verbosity == 1 else "debug"
        configure_logging(level=level, colors=False if invocation.no_color else None)
        yield
        return
    # The standard library's handler: structlog takes 100 ms to import, for a command that mostly
    # has nothing to tell.
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING if verbosity == 0 else logging.ERROR)
    handler.setFormatter(_Graded())
    logger = logging.getLogger("softadastra")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
