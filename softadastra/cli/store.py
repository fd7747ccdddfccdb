"""`softadastra store`: write, read and list the keys of a node."""

from __future__ import annotations

from itertools import islice

import click

from softadastra.cli.command import Command, Group, Lazy, RequiredArgument, key_argument
from softadastra.cli.documents import entry_document
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import as_count, as_time, encode
from softadastra.cli.reaching import reach_node
from softadastra.cli.values import read_value
from softadastra.errors import NotFoundError
from softadastra.tagged_json import to_json
from softadastra.types import Value

__all__ = ["get", "list_entries", "put", "remove", "store"]

store = Group(
    "store",
    help="Read and write the keys of this node.",
    lazy={
        "put": Lazy("softadastra.cli.store:put", "Store a value under a key."),
        "get": Lazy("softadastra.cli.store:get", "Show the value of a key."),
        "remove": Lazy("softadastra.cli.store:remove", "Remove a key."),
        "list": Lazy("softadastra.cli.store:list_entries", "List keys and values."),
        "watch": Lazy(
            "softadastra.cli.watching:watch", "Show each change of a running node as it comes."
        ),
        "history": Lazy(
            "softadastra.cli.history:history", "Show what the log still has of a key over time."
        ),
        "import": Lazy(
            "softadastra.cli.transfer:import_rows", "Store the keys and values of a file."
        ),
        "export": Lazy(
            "softadastra.cli.transfer:export_rows", "Print keys and values as JSON Lines."
        ),
    },
)


@click.command("put", cls=Command)
@click.argument(
    "key",
    cls=RequiredArgument,
    missing="Missing key or value argument.",
    empty="Key cannot be empty.",
    completes="key",
)
@click.argument("value", cls=RequiredArgument, missing="Missing key or value argument.")
@click.option("--json-value", is_flag=True, help="The value is JSON, not text.")
@click.option("--bytes-value", is_flag=True, help="The value is bytes, not text.")
@click.pass_obj
def put(
    invocation: Invocation, *, key: str, value: str, json_value: bool, bytes_value: bool
) -> None:
    """Store a value under a key.

    VALUE is text; "-" reads it from standard input and "@FILE" from a file, to the last byte.
    "@@text" stores "@text". Put -- before a value that begins with "-".
    """
    stored = read_value(value, is_json=json_value, is_bytes=bytes_value)
    with reach_node(invocation, creates=True) as reached:
        result = reached.node.put(key, stored)
    if invocation.json:
        invocation.output.document({**result._asdict(), "sync_id": result.sync_id})
        return
    invocation.output.table(
        "Stored value.",
        ("Field", "Value"),
        (("key", result.key), ("version", result.version), ("status", result.status)),
    )


@click.command("get", cls=Command)
@key_argument
@click.option("--raw", is_flag=True, help="Print text and bytes as they are, all else as JSON.")
@click.pass_obj
def get(invocation: Invocation, *, key: str, raw: bool) -> None:
    """Show the value of a key.

    Exits with 3 when there is none.
    """
    if raw and invocation.json:
        raise click.UsageError("Choose one of --raw and --json.")
    with reach_node(invocation, creates=False) as reached:
        entry = reached.node.entry(key)
    if entry is None:
        raise NotFoundError(f"Key not found: {key}", key=key)
    if raw:
        value = _raw(entry.value)
        # The prompt of a session stands on a line of its own.
        is_ended = value[-1:] in ("\n", b"\n")
        click.echo(value, nl=invocation.is_interactive and not is_ended)
    elif invocation.json:
        invocation.output.document(entry_document(entry))
    else:
        invocation.output.table(
            "Store entry",
            ("Field", "Value"),
            (
                ("key", entry.key),
                ("value", _shown(entry.value)),
                ("version", entry.version),
                ("timestamp", as_time(entry.timestamp_ms)),
            ),
        )


def _raw(value: Value) -> str | bytes:
    return value if isinstance(value, str | bytes) else encode(to_json(value))


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else encode(to_json(value))


@click.command("remove", cls=Command)
@key_argument
@click.pass_obj
def remove(invocation: Invocation, *, key: str) -> None:
    """Remove a key.

    Exits with 3 when there is none.
    """
    with reach_node(invocation, creates=False) as reached:
        was_there = reached.node.remove(key)
    if not was_there:
        raise NotFoundError(f"Key not found: {key}", key=key)
    if invocation.json:
        invocation.output.document({"key": key, "removed": True})
    else:
        invocation.output.table("Removed value", ("Field", "Value"), (("key", key),))


@click.command("list", cls=Command)
@click.argument("prefix", default="")
@click.option("--limit", type=Number(int, 1), metavar="N", help="Show at most N keys.")
@click.pass_obj
def list_entries(invocation: Invocation, *, prefix: str, limit: int | None) -> None:
    """List keys and values.

    Those that begin with PREFIX if it is given, in the order of the keys. A terminal shows as
    much of each value as fits a line; a pipe gets all of it.
    """
    with reach_node(invocation, creates=False) as reached:
        items = iter(reached.node.items(prefix))
        shown = items if limit is None else islice(items, limit)
        if invocation.json:
            entries = [{"key": key, "value": to_json(value)} for key, value in shown]
            has_more = next(items, None) is not None
            invocation.output.document({"entries": entries, "has_more": has_more})
            return
        rows = ((key, _shown(value)) for key, value in shown)
        if not invocation.output.listing(("Key", "Value"), rows):
            invocation.output.note("No keys found.")
        elif limit is not None and next(items, None) is not None:
            invocation.output.note(f"The first {as_count(limit, 'key')}; there are more.")
