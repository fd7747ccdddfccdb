"""Open the node that a command line names, for the time of one command.

A command opens the write-ahead log itself, so a running node keeps it out. A command that has
nothing to write makes no file: where the node has no log yet it sees an empty node in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softadastra.cli.invocation import Invocation
from softadastra.errors import InvalidStateError, StorageError

if TYPE_CHECKING:
    from softadastra import Client, ClientOptions

__all__ = ["LocalNode", "load_options", "open_node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A node that is open in this process."""

    client: Client
    wal_path: Path | None
    """None when the settings say that nothing is kept on disk."""


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
    """Tell whose log a path leads to, so that `--wal` alone is enough to name a node."""
    from softadastra.wal.frames import FILE_HEADER_BYTES, decode_file_header

    path = options.resolved_wal_path()
    try:
        with path.open("rb") as file:
            block = file.read(FILE_HEADER_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"cannot read the write-ahead log {str(path)!r}: {error.strerror}; make it readable for"
            " this user, or choose another path",
            errno=error.errno,
            filename=str(path),
        ) from error
    header, _ = decode_file_header(block, path)
    return header.node_id


@contextmanager
def open_node(invocation: Invocation, *, creates: bool, **overrides: Any) -> Iterator[LocalNode]:
    """Open the node and close it when the block ends.

    Args:
        invocation: the common options.
        creates: whether to make a write-ahead log where there is none; otherwise the command
            sees an empty node in memory.
        overrides: further fields of `ClientOptions`; None leaves a field as it is.

    Raises:
        InvalidStateError: a log is to be made, and the settings keep nothing on disk.
        StoreLockedError: a running node has the log open.
        SoftadastraError: as `Client.open`.
    """
    from softadastra import Client

    options = load_options(invocation, auto_tick=False, **overrides)
    if creates and not options.enable_wal:
        raise InvalidStateError(
            f"node {options.node_id!r} keeps nothing on disk (enable_wal is false), so what this"
            " command writes would be lost at its end: set enable_wal, or write from the program"
            " that runs the node"
        )
    options.validate()
    wal_path = options.resolved_wal_path() if options.enable_wal else None
    is_absent = not creates and (wal_path is None or not wal_path.exists())
    if is_absent:
        options.enable_wal = False
        where = "without a write-ahead log" if wal_path is None else f"no log at {wal_path} yet"
        invocation.output.note(f"Node {options.node_id} is empty: {where}.")
    with _events_on_standard_error(invocation.verbosity):
        client = Client(options)
        client.open()
        with closing(client):
            yield LocalNode(client=client, wal_path=wal_path)


@contextmanager
def _events_on_standard_error(verbosity: int) -> Iterator[None]:
    """Show the node's events: warnings without being asked, as a torn tail that was cut off."""
    if verbosity > 0:
        from softadastra import configure_logging

        configure_logging(level="info" if verbosity == 1 else "debug")
        yield
        return
    # The standard library's handler: structlog takes 100 ms to import, for a command that mostly
    # has nothing to tell.
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING if verbosity == 0 else logging.ERROR)
    logger = logging.getLogger("softadastra")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
