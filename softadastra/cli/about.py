"""`softadastra version` and `softadastra help`: what the tool is and what it can do."""

from __future__ import annotations

import click

import softadastra
from softadastra.cli.command import Command, Group
from softadastra.cli.invocation import Invocation

__all__ = ["show_help", "version"]


@click.command("version", cls=Command)
@click.pass_obj
def version(invocation: Invocation) -> None:
    """Show the version."""
    if invocation.json:
        invocation.output.document({"version": softadastra.__version__})
    else:
        invocation.output.line(f"Softadastra {softadastra.__version__}")


@click.command("help", cls=Command)
@click.argument("command", nargs=-1)
@click.pass_context
def show_help(context: click.Context, command: tuple[str, ...]) -> None:
    """Show the help of the tool, or of a command."""
    shown = context.find_root()
    for name in command:
        group = shown.command
        if not isinstance(group, Group):
            context.fail(f"{shown.command_path} has no commands: no {name} among them")
        found_name, found, _ = group.resolve_command(shown, [name])
        assert found is not None
        shown = found.context_class(found, info_name=found_name, parent=shown)
    invocation = context.ensure_object(Invocation)
    if invocation.json:
        invocation.output.document({"help": shown.get_help()})
    else:
        invocation.output.line(shown.get_help())
