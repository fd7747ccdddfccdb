"""Read a value from the command line: text, JSON or bytes, given there, in a file or on a pipe."""

from __future__ import annotations

import click

from softadastra.cli.input import STANDARD_INPUT, open_input
from softadastra.errors import InvalidArgumentError
from softadastra.tagged_json import parse_json
from softadastra.types import Value

__all__ = ["read_value"]

VALUE_BYTES_MAX = 16 * 1024 * 1024
"""The most that is read for one value from a file or standard input. A value of 1 MiB takes up
to 6 MiB as JSON; whether it can be stored is decided when it is."""


def read_value(argument: str, *, is_json: bool, is_bytes: bool) -> Value:
    """Read the value that an argument holds or names.

    Args:
        argument: text; "-" for standard input, "@FILE" for a file, "@@text" for "@text".
        is_json: whether it is JSON.
        is_bytes: whether it is bytes.

    Raises:
        click.UsageError: it is to be both, or its file cannot be read.
        InvalidArgumentError: it is not what it is said to be, or too long.
    """
    if is_json and is_bytes:
        raise click.UsageError("Choose one of --json-value and --bytes-value.")
    return _typed(_content(argument), is_json=is_json, is_bytes=is_bytes)


def _content(argument: str) -> bytes:
    """Read the value that the argument holds or names."""
    if argument.startswith("@@"):
        return argument.removeprefix("@").encode()
    if argument != STANDARD_INPUT and not argument.startswith("@"):
        return argument.encode()
    hint = "" if argument == STANDARD_INPUT else f" To store this text, write '@{argument}'."
    with open_input(argument.removeprefix("@"), hint=hint) as stream:
        content = stream.read(VALUE_BYTES_MAX + 1)
    if len(content) > VALUE_BYTES_MAX:
        raise InvalidArgumentError(
            f"the value is longer than {VALUE_BYTES_MAX:,} bytes, the limit is the setting"
            " max_value_bytes: store it in parts"
        )
    return content


def _typed(content: bytes, *, is_json: bool, is_bytes: bool) -> Value:
    if is_bytes:
        return content
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"the value is not UTF-8 text at its byte {error.start + 1}: store it with"
            " --bytes-value"
        ) from error
    return parse_json(text) if is_json else text
