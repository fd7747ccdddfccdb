"""The entry point: the commands of the tool, and how each error ends it.

A user's mistake, a refused operation, a closed pipe and Ctrl-C end in a line and an exit code;
a traceback is a bug in Softadastra.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import Any, NoReturn

import click
from click.exceptions import Exit

import softadastra
from softadastra.cli.command import Group, Lazy, usage_of
from softadastra.cli.exit_codes import ExitCode, WaitTimedOutError, exit_code_of
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import SCHEMA, encode, tell
from softadastra.errors import ErrorCode, NotFoundError, SoftadastraError

__all__ = ["PROGRAM", "VARIABLE", "cli", "main"]

PROGRAM = "softadastra"

VARIABLE = "_SOFTADASTRA_COMPLETE"
"""Set by a shell that asks for completions, to what it asks."""


class Root(Group):
    """The tool itself: turns whatever ends a command into an exit code."""

    def main(self, args: Sequence[str] | None = None, **_: Any) -> NoReturn:  # type: ignore[override]  # always standalone
        """Run the command line and exit.

        Args:
            args: the arguments behind the program's name; default: this process's own.

        Raises:
            SystemExit: always, with one of `ExitCode`.
        """
        if instruction := os.environ.get(VARIABLE):
            from softadastra.cli.completion import complete

            sys.exit(complete(self, instruction))
        arguments = sys.argv[1:] if args is None else list(args)
        if sys.stdout is None:
            tell("error: standard output is closed: give it a file or a pipe")
            sys.exit(ExitCode.FAILURE)
        if isinstance(sys.stdout, TextIOWrapper):
            # Names in an encoding that the terminal lacks are shown escaped, not refused.
            sys.stdout.reconfigure(errors="backslashreplace")
        code = self.run(arguments, Invocation())
        try:
            sys.stdout.flush()
        except OSError:
            _discard_output()
        sys.exit(code)

    def run(self, arguments: list[str], invocation: Invocation) -> int:
        """Run a command line; tell what ended it, and give its exit code.

        Args:
            arguments: the words behind the program's name.
            invocation: the common options so far.
        """
        try:
            code, error = self._run(arguments, invocation)
            if error is not None:
                click.echo(encode({"schema": SCHEMA, "error": error}))
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has had enough, as `head` does: no failure of ours.
            return ExitCode.OK
        except OSError as error:
            place = error.filename or "the standard streams"
            tell(f"error: cannot read or write {place}: {error.strerror or error}")
            return ExitCode.FAILURE
        except KeyboardInterrupt as interrupt:
            tell("")
            _show("Interrupted.", *getattr(interrupt, "__notes__", ()))
            return ExitCode.INTERRUPTED
        return code

    def alone(self, context: click.Context) -> None:
        """Take commands from who sits at the terminal; else show the help, and fail."""
        from softadastra.cli.completion import candidates
        from softadastra.cli.interactive import Session, is_at_terminal

        invocation = context.ensure_object(Invocation)
        if invocation.is_interactive or not is_at_terminal():
            super().alone(context)
            return
        Session(
            self.run, lambda words, begun: candidates(self, invocation, words, begun), invocation
        ).run()

    def _run(
        self, arguments: list[str], invocation: Invocation
    ) -> tuple[int, dict[str, object] | None]:
        """Run the command; return its exit code and, for programs that asked, its error."""
        try:
            _check_encoding(arguments)
            with self.make_context(PROGRAM, [*arguments], obj=invocation) as context:
                self.invoke(context)
        except Exit as exit_:
            return exit_.exit_code, None
        except click.UsageError as error:
            _show_usage_error(error)
            # The parser may have stopped before it came to --json.
            as_json = invocation.json or "--json" in arguments
            found = _error(ErrorCode.INVALID_ARGUMENT, error.format_message(), {})
            return error.exit_code, found if as_json else None
        except SoftadastraError as error:
            from softadastra.control.unreachable import NodeAbsentError

            # What is not there is an answer: it has the original's words and no more.
            answers = NotFoundError | NodeAbsentError | WaitTimedOutError
            prefix = "" if isinstance(error, answers) else "error: "
            _show(prefix + error.message, *getattr(error, "__notes__", ()))
            code = exit_code_of(error)
            if code is ExitCode.USAGE:
                _show_usage(invocation.usage)
            found = _error(error.code, error.message, error.context)
            return code, found if invocation.json else None
        return ExitCode.OK, None


def _check_encoding(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise click.UsageError(
                f"The argument {os.fsencode(argument)!r} is not UTF-8: expected UTF-8 text."
            ) from error


def _show_usage_error(error: click.UsageError) -> None:
    """Show what was wrong, then how it is written."""
    _show(error.format_message())
    if isinstance(error, click.NoSuchOption) and not error.possibilities:
        tell("Put -- before an argument that begins with '-'.")
    if error.ctx is not None:
        _show_usage(usage_of(error.ctx))


def _show_usage(usage: str) -> None:
    for line in usage.splitlines():
        tell(line, is_folded=False)  # it fits already, and is aligned


def _show(*texts: str) -> None:
    for text in texts:
        for line in text.splitlines():
            tell(line)


def _error(code: ErrorCode, message: str, context: Mapping[str, object]) -> dict[str, object]:
    plain = {name: _plain(value) for name, value in context.items()}
    return {"code": code, "message": message, "context": plain}


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _discard_output() -> None:
    """Drop what is left of the output: the interpreter would write it when it exits, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version_option() -> click.Option:
    def show(context: click.Context, _: click.Parameter, is_given: bool) -> None:
        if is_given and not context.resilient_parsing:
            click.echo(f"Softadastra {softadastra.__version__}")
            context.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )


cli = Root(
    PROGRAM,
    help="An offline-first replicated key-value store for networks of peers.",
    params=[_version_option()],
    context_settings={"help_option_names": ["-h", "--help"]},
    lazy={
        "status": Lazy(
            "softadastra.cli.status:status", "Show the node, its store, its outbox and its peers."
        ),
        "top": Lazy(
            "softadastra.cli.top:top",
            "Watch a node work: its store, log and outbox, and how each peer stands.",
        ),
        "metrics": Lazy(
            "softadastra.cli.metrics:metrics", "Print what Prometheus scrapes of this node."
        ),
        "node": Lazy("softadastra.cli.node:node", "Describe this node, run it, and stop it."),
        "store": Lazy("softadastra.cli.store:store", "Read and write the keys of this node."),
        "sync": Lazy(
            "softadastra.cli.sync:sync",
            "Show and move what peers still lack of this node's writes.",
        ),
        "peers": Lazy(
            "softadastra.cli.peers:peers",
            "Show the nodes that this one knows, and add and remove them.",
        ),
        "conflicts": Lazy(
            "softadastra.cli.conflicts:conflicts",
            "Show keys with concurrent writes, and settle them.",
        ),
        "keys": Lazy(
            "softadastra.cli.keys:keys", "Look after this node's keys, and those that it trusts."
        ),
        "wal": Lazy("softadastra.cli.wal:wal", "Look after the write-ahead log of this node."),
        "config": Lazy(
            "softadastra.cli.config:config",
            "Show the settings of this node, and where each comes from.",
        ),
        "doctor": Lazy(
            "softadastra.cli.doctor:doctor", "Look for what is wrong, and say what to do."
        ),
        "trace": Lazy(
            "softadastra.cli.trace:trace",
            "Show what became of one write, by the JSON logs of all nodes.",
        ),
        "logs": Lazy("softadastra.cli.logs:logs", "Show and follow what a node logs."),
        "completion": Lazy(
            "softadastra.cli.completion:completion", "Print what a shell needs to complete."
        ),
        "demo": Lazy(
            "softadastra.cli.demo:demo",
            "Watch node processes replicate through a stop and a crash.",
        ),
        "bench": Lazy(
            "softadastra.cli.bench:bench",
            "Measure a node on this disk and this machine, and say what limits it.",
        ),
        "version": Lazy("softadastra.cli.about:version", "Show the version."),
        "help": Lazy(
            "softadastra.cli.about:show_help", "Show the help of the tool, or of a command."
        ),
    },
)


def main() -> NoReturn:
    """Run the tool on this process's arguments and exit.

    A Ctrl-C behind the end of the command, as of somebody who presses it twice, changes nothing:
    Python gives the signal back to the system when it exits, which would kill the process then.
    """
    try:
        cli.main()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
