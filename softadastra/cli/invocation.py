"""What one command line asks for: the options that every command takes, wherever they stand.

`softadastra --json status`, `softadastra store --json list` and `softadastra status --json`
are the same; of two different values the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from softadastra.cli.output import Output

__all__ = ["CommonOption", "Invocation", "common_options"]


@dataclass(slots=True, kw_only=True)
class Invocation:
    """The common options as given so far; each parser on the way to the command adds to it."""

    node_id: str | None = None
    """None: from the environment, the settings file, or the default."""
    wal: Path | None = None
    config: Path | None = None
    json: bool = False
    no_color: bool = False
    verbose: int = 0
    quiet: int = 0
    usage: str = ""
    """How the command is written, once what was given to it was found to be wrong."""
    is_interactive: bool = False
    """Whether it is a line of a session at a terminal."""

    @property
    def verbosity(self) -> int:
        """-1: errors only, 0: warnings too, 1: changes of state too, 2 and above: everything."""
        return max(-1, self.verbose - self.quiet)

    def arguments(self) -> list[str]:
        """Write them as a command line, but for --json: for a node that is started."""
        valued = {"--node-id": self.node_id, "--wal": self.wal, "--config": self.config}
        return [
            *(f"{name}={value}" for name, value in valued.items() if value is not None),
            *(["--no-color"] if self.no_color else []),
            *["--verbose"] * self.verbose,
            *["--quiet"] * self.quiet,
        ]

    @property
    def output(self) -> Output:
        """Where the command shows its result, and how."""
        return Output(as_json=self.json, no_color=self.no_color, is_quiet=self.verbosity < 0)


class CommonOption(click.Option):
    """An option of every command, shown in a section of its own in the help."""


def common_options() -> list[click.Option]:
    """Make the options; they are kept in the context's `Invocation`, not passed as arguments."""
    path = click.Path(path_type=Path, readable=False)  # whether it is, shows when it is opened
    return [
        _option("--node-id", metavar="ID", help="This node's name (default: node-1)."),
        _option("--wal", type=path, help="Its write-ahead log (default: data/<node id>.wal)."),
        _option("--config", type=path, help="The settings file (default: ./softadastra.toml)."),
        _option("--json", is_flag=True, help="Print one JSON document."),
        _option("--no-color", is_flag=True, help="Print no colours; NO_COLOR does the same."),
        _option("-v", "--verbose", count=True, help="Log changes of state; -vv: everything."),
        _option("-q", "--quiet", count=True, help="Show results and errors only."),
    ]


def _option(*names: str, **attributes: object) -> click.Option:
    return CommonOption(names, expose_value=False, callback=_remember, **attributes)  # type: ignore[arg-type]  # the values above are what click expects


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    invocation = context.ensure_object(Invocation)
    if (
        context.get_parameter_source(str(parameter.name))
        is not click.core.ParameterSource.COMMANDLINE
    ):
        return
    if value == Path():  # as `--wal "$UNSET"` gives; it would mean the current directory
        raise click.BadParameter("expected the path of a file.", context, parameter)
    match parameter.name:
        case "verbose" | "quiet" as name:
            setattr(invocation, name, getattr(invocation, name) + value)
        case name:
            setattr(invocation, str(name), value)
