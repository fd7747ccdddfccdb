"""`softadastra config`: the settings of a node, and where each comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import tell
from softadastra.cli.reaching import load_options
from softadastra.errors import InvalidArgumentError

if TYPE_CHECKING:
    from softadastra import ClientOptions

__all__ = ["config", "show"]

config = Group(
    "config",
    help="Show the settings of this node, and where each comes from.",
    default="show",
    lazy={"show": Lazy("softadastra.cli.config:show", "Show each setting with its source.")},
)


@click.command("show", cls=Command)
@click.option("--changed", "only_changed", is_flag=True, help="Only those that are no defaults.")
@click.pass_obj
def show(invocation: Invocation, *, only_changed: bool) -> None:
    """Show each setting with its source.

    The command line is stronger than a variable, that than the file, that than the default. They
    are what commands and the next run go by; a node that runs already has those that it began with.
    Exits with 2 when they cannot be used, and says why.
    """
    options = load_options(invocation)
    sources = _sources(invocation, options)
    values = options.to_dict()
    shown = {name: values[name] for name in values if name in sources or not only_changed}
    problems = _problems(options)
    file = _file(invocation)
    if invocation.json:
        settings = {
            name: {"value": value, "source": sources.get(name, "default")}
            for name, value in shown.items()
        }
        invocation.output.document(
            {
                "settings": settings,
                "file": None if file is None else str(file),
                "problems": problems,
            }
        )
    else:
        invocation.output.table(
            "Settings" if file is None else f"Settings, with {file}",
            ("Setting", "Value", "Source"),
            ((name, _words(value), sources.get(name, "default")) for name, value in shown.items()),
        )
        for problem in problems:
            tell(f"error: {problem}")
    if problems:
        raise click.exceptions.Exit(ExitCode.USAGE)


def _sources(invocation: Invocation, options: ClientOptions) -> dict[str, str]:
    """Say where each setting comes from; those that are not in it are defaults."""
    sources = type(options).sources(invocation.config)
    if invocation.wal is not None:
        sources["wal_path"] = "command line"
    if invocation.node_id is not None:
        sources["node_id"] = "command line"
    elif options.node_id != type(options)().node_id:
        sources.setdefault("node_id", "log")  # whose node id is in its header
    return sources


def _problems(options: ClientOptions) -> list[str]:
    try:
        options.validate()
    except InvalidArgumentError as error:
        found = error.context["problems"]
        assert isinstance(found, list)
        return found
    return []


def _file(invocation: Invocation) -> Path | None:
    from softadastra.settings import DEFAULT_FILE

    file = invocation.config or Path(DEFAULT_FILE)
    return file if file.exists() else None


def _words(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(str, value)) or "-"
        case dict():
            return ", ".join(f"{name}={each}" for name, each in value.items()) or "-"
        case _:
            return str(value)
