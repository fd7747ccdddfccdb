"""Commands and groups in this tool's ways: common options everywhere, the original's words.

A group imports the module of a command when the command is asked for, and has the line that
its own help shows of it, so that `softadastra --help` imports none. An unknown command and a
missing argument are reported in the words of the original tool, above the usage line.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import CommonOption, Invocation, common_options
from softadastra.cli.output import tell
from softadastra.errors import InvalidArgumentError

__all__ = ["Command", "Group", "Lazy", "RequiredArgument", "key_argument", "usage_of"]


HELP_COLUMNS_MIN = 38
"""Columns of help on a narrow terminal."""

HELP_COLUMNS_MAX = 80
"""Longer lines of prose are harder to read."""


class Lazy(NamedTuple):
    """A command that is not imported yet."""

    location: str
    """Module and attribute, as "softadastra.cli.status:status"."""
    summary: str
    """The first sentence of its help."""


class _Context(click.Context):
    """A context whose help fits terminals down to 40 columns; click's own stops at 50."""

    def make_formatter(self) -> click.HelpFormatter:
        columns = min(get_terminal_size().columns, HELP_COLUMNS_MAX)
        return click.HelpFormatter(width=max(columns - 2, HELP_COLUMNS_MIN))


class Command(click.Command):
    """A command that takes the common options beside its own."""

    context_class = _Context

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.extend(common_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; what is wrong with them is told with this command's usage."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click leaves it out where an option lacks its value
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; keep how it is written where what was given turns out to be wrong."""
        try:
            return super().invoke(ctx)
        except InvalidArgumentError:
            invocation = ctx.ensure_object(Invocation)
            invocation.usage = invocation.usage or usage_of(ctx)
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the command's own options first."""
        own: list[tuple[str, str]] = []
        common: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                (common if isinstance(parameter, CommonOption) else own).append(record)
        for title, records in (("Options", own), ("Common options", common)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=min(30, formatter.width // 2))


def usage_of(context: click.Context) -> str:
    """Give how a command is written, and where there is more."""
    return f"{context.get_usage()}\nTry '{context.command_path} --help'."


class Group(Command, click.Group):
    """A group whose commands are imported when they are asked for.

    Args:
        name: what the group is called.
        lazy: its commands by name, in the order in which the help shows them.
        default: which of them is run when none is named. None: the group shows its help on standard
            error, and fails as a wrong command line does.
        attributes: as click takes them.
    """

    def __init__(
        self, name: str, *, lazy: Mapping[str, Lazy], default: str | None = None, **attributes: Any
    ) -> None:
        super().__init__(name, callback=_without_command, invoke_without_command=True, **attributes)
        self.lazy = lazy
        self.default = default

    def alone(self, context: click.Context) -> None:
        """Do what the group does without a command."""
        if self.default is None:
            for line in context.get_help().splitlines():
                tell(line, is_folded=False)
            context.exit(ExitCode.USAGE)
        command = self.get_command(context, self.default)
        assert command is not None, "a default is one of the commands"
        with command.make_context(self.default, [], parent=context) as inner:
            command.invoke(inner)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Name the commands in the order in which they were given."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; None when the group has none of that name."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name].location.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say in the original's words that there is none."""
        if args[0] not in self.lazy and not ctx.resilient_parsing:
            group = "" if ctx.parent is None else f"{ctx.info_name} "
            matches = get_close_matches(args[0], self.lazy, n=1)
            hint = f"\nDid you mean {matches[0]}?" if matches else ""
            ctx.fail(f"Unknown {group}command: {args[0]}{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Give the commands that begin so, without importing them, and the options."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=lazy.summary)
            for name, lazy in self.lazy.items()
            if name.startswith(incomplete)
        ]
        return named + Command.shell_complete(self, ctx, incomplete)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Name the commands in the usage line."""
        return ["[OPTIONS]", f"<{'|'.join(self.list_commands(ctx))}>", "[ARGS]..."]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the commands, then the options."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy.items()])
        super().format_options(ctx, formatter)


class RequiredArgument(click.Argument):
    """An argument whose absence is reported in the original tool's words.

    Args:
        declarations: the argument's name, as click takes it.
        missing: what to say when it is absent.
        empty: what to say when it is "", None when that is a value.
        completes: what a shell completes it with: "key", "peer" or "key or peer" of the node.
        attributes: as click takes them.
    """

    def __init__(
        self,
        declarations: list[str],
        *,
        missing: str,
        empty: str | None = None,
        completes: str | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(declarations, required=True, **attributes)
        self._missing = missing
        self._empty = empty
        self._completes = completes

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Give what may stand here."""
        from softadastra.cli.completion import complete_from_node

        if self._completes is None:
            return super().shell_complete(ctx, incomplete)
        return complete_from_node(ctx, self._completes, incomplete)

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the value, or say what is missing."""
        if self.value_is_missing(value) and not ctx.resilient_parsing:
            raise click.UsageError(self._missing, ctx)
        if value == "" and self._empty is not None:
            raise click.UsageError(self._empty, ctx)
        return super().process_value(ctx, value)


key_argument: Final = click.argument(
    "key",
    cls=RequiredArgument,
    missing="Missing key argument.",
    empty="Key cannot be empty.",
    completes="key",
)
"""Gives a command the key that it is about."""


@click.pass_context
def _without_command(context: click.Context) -> None:
    """Do what a group does alone; with a command nothing."""
    group = context.command
    assert isinstance(group, Group)
    if context.invoked_subcommand is not None:
        return
    group.alone(context)
