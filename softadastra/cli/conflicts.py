"""`softadastra conflicts`: keys that nodes wrote without knowing of each other's write."""

from __future__ import annotations

from collections.abc import Iterable

import click

from softadastra.cli.command import Command, Group, Lazy, key_argument
from softadastra.cli.documents import Document, fields_of
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import as_time, encode
from softadastra.cli.reaching import reach_node
from softadastra.cli.values import read_value
from softadastra.errors import InvalidArgumentError, NotFoundError
from softadastra.tagged_json import to_json
from softadastra.types import Conflict, ConflictingValue, Value

__all__ = ["conflicts", "list_conflicts", "resolve", "show"]

conflicts = Group(
    "conflicts",
    help="Show keys with concurrent writes, and settle them.",
    default="list",
    lazy={
        "list": Lazy("softadastra.cli.conflicts:list_conflicts", "List the keys in conflict."),
        "show": Lazy("softadastra.cli.conflicts:show", "Show the values of a key in conflict."),
        "resolve": Lazy("softadastra.cli.conflicts:resolve", "Settle a key with a value."),
    },
)


@click.command("list", cls=Command)
@click.option("--open", "only_open", is_flag=True, help="Only those that wait to be resolved.")
@click.pass_obj
def list_conflicts(invocation: Invocation, *, only_open: bool) -> None:
    """List the keys in conflict.

    Open ones keep all their values until one is chosen. Of the others the first value has won and
    the rest has lost; of these the latest 1,000 are listed, until they are resolved.
    """
    with reach_node(invocation, creates=False) as reached:
        listed = [each for each in reached.node.conflicts() if each.is_open or not only_open]
    if invocation.json:
        invocation.output.document({"conflicts": [_document(each) for each in listed]})
    elif not listed:
        invocation.output.line("No conflicts.")
    else:
        invocation.output.table(
            "Conflicts",
            ("Key", "Policy", "State", "Values", "Origins"),
            (
                (
                    each.key,
                    each.policy,
                    _state(each),
                    len(each.values),
                    ", ".join(dict.fromkeys(value.origin for value in each.values)),
                )
                for each in listed
            ),
        )


@click.command("show", cls=Command)
@key_argument
@click.pass_obj
def show(invocation: Invocation, *, key: str) -> None:
    """Show the values of a key in conflict.

    The first is what `store get` gives. Exits with 3 when the key has no conflict.
    """
    with reach_node(invocation, creates=False) as reached:
        found = _find(reached.node.conflicts(), key)
    if invocation.json:
        invocation.output.document({"conflict": _document(found)})
        return
    invocation.output.table(
        f"Conflict of {found.key}: {_state(found)}, by {found.policy}",
        ("No", "Value", "Origin", "Write", "Version", "Time"),
        (
            (
                number,
                "(removed)" if each.is_removed else _shown(each),
                each.origin,
                each.sync_id,
                each.version,
                as_time(each.timestamp_ms),
            )
            for number, each in enumerate(found.values, start=1)
        ),
    )


@click.command("resolve", cls=Command)
@key_argument
@click.argument("value", required=False)
@click.option(
    "--take",
    type=Number(int, 1),
    metavar="NO",
    help="Take the value of this number, as `conflicts show` numbers them.",
)
@click.option("--json-value", is_flag=True, help="The value is JSON, not text.")
@click.option("--bytes-value", is_flag=True, help="The value is bytes, not text.")
@click.pass_obj
def resolve(
    invocation: Invocation,
    *,
    key: str,
    value: str | None,
    take: int | None,
    json_value: bool,
    bytes_value: bool,
) -> None:
    """Settle a key with a value.

    VALUE is as for `store put`. It supersedes all values that this node has seen, on every node.
    Exits with 3 when the key has no conflict.
    """
    if (value is None) == (take is None):
        raise click.UsageError("Give a value, or the number of one with --take.")
    given = None if value is None else read_value(value, is_json=json_value, is_bytes=bytes_value)
    with reach_node(invocation, creates=False) as reached:
        seen = None
        if take is not None:
            found = _find(reached.node.conflicts(), key)
            given, seen = _taken(found, take), [each.sync_id for each in found.values]
        result = reached.node.resolve(key, given, seen=seen)
    if invocation.json:
        invocation.output.document({**result._asdict(), "sync_id": result.sync_id})
    else:
        invocation.output.table(
            "Resolved conflict.",
            ("Field", "Value"),
            (("key", result.key), ("version", result.version), ("write", result.sync_id)),
        )


def _find(found: Iterable[Conflict], key: str) -> Conflict:
    for each in found:
        if each.key == key:
            return each
    raise NotFoundError(f"No conflict: {key}", key=key)


def _taken(conflict: Conflict, number: int) -> Value:
    if number > len(conflict.values):
        raise InvalidArgumentError(
            f"{conflict.key!r} has {len(conflict.values)} values: expected a number up to that",
            key=conflict.key,
        )
    chosen = conflict.values[number - 1]
    if chosen.is_removed:
        raise InvalidArgumentError(
            f"number {number} of {conflict.key!r} is a remove: store remove settles it so",
            key=conflict.key,
        )
    return chosen.value


def _state(conflict: Conflict) -> str:
    return "open" if conflict.is_open else "settled"


def _shown(each: ConflictingValue) -> str:
    return each.value if isinstance(each.value, str) else encode(to_json(each.value))


def _document(conflict: Conflict) -> Document:
    values = [{**fields_of(each), "value": to_json(each.value)} for each in conflict.values]
    return {**fields_of(conflict), "values": values}
