"""`softadastra completion`: what a shell needs to complete commands, keys and peers.

Commands and options come from the tool itself; keys and peers from the node, when it runs and
answers at once, or from the log of one that does not run, when it is soon read. A shell that waits
is worse than one that completes nothing.
"""

from __future__ import annotations

import dataclasses
import os
import re
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
)

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.main import PROGRAM, VARIABLE
from softadastra.cli.reaching import load_options
from softadastra.errors import SoftadastraError

if TYPE_CHECKING:
    from typing import ClassVar

    from softadastra.control.remote import RemoteNode
    from softadastra.inspection import Reading
    from softadastra.options import ClientOptions

__all__ = ["candidates", "complete", "complete_from_node", "completion"]

ANSWER_SECONDS = 0.1
"""The longest wait for a node: more is felt at the keyboard."""

LOG_BYTES_MAX = 512 * 1024
"""The largest log that is read for it: 5,000 small writes, in 0.1 s."""

KEYS_MAX = 100
"""Completions that are shown: more than a screen helps nobody."""

SHELLS = ("bash", "zsh", "fish")

BASH_SOURCE = """\
%(complete_func)s() {
    local IFS=$'\\n' line
    while read -r line; do
        case ${line%%%%,*} in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("${line#*,}") ;;
        esac
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
"""As click's own, whose words bash expands on the way to the command line."""


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what a shell needs to complete.

    For bash: eval "$(softadastra completion bash)" in ~/.bashrc; the same with zsh in ~/.zshrc;
    for fish: softadastra completion fish > ~/.config/fish/completions/softadastra.fish
    """
    invocation = context.ensure_object(Invocation)
    kind = get_completion_class(shell)
    assert kind is not None, "one of click's own"
    source = kind(context.find_root().command, {}, PROGRAM, VARIABLE).source()
    if invocation.json:
        invocation.output.document({"shell": shell, "source": source})
    else:
        invocation.output.line(source)


class QuotingBash(BashComplete):
    """Completes for bash, which inserts a name as it is and would run what is in it.

    Keys and peers come from other nodes: `k$(reboot)` has to be a word on the command line, as
    `a key` has to be one. zsh and fish quote by themselves.
    """

    source_template: ClassVar[str] = BASH_SOURCE

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Give what begins so; behind an open quotation what means the same within it."""
        found = super().get_completions(args, incomplete)
        words = os.environ["COMP_WORDS"].split("\n")
        index = int(os.environ["COMP_CWORD"])
        if index < len(words) and words[index].startswith(("'", '"')):
            return [item for item in found if _quoted(item.value) == item.value]
        return found

    def format_completion(self, item: CompletionItem) -> str:
        """Give the line that `BASH_SOURCE` reads."""
        return f"{item.type},{_quoted(item.value)}"


add_completion_class(QuotingBash)


def _quoted(word: str) -> str:
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", word)


def complete(tool: click.Command, instruction: str) -> int:
    """Answer a shell that asks for completions.

    Args:
        tool: all commands.
        instruction: what it asks, as "bash_complete".

    Returns:
        The exit code.
    """
    return shell_complete(tool, {"obj": Invocation()}, PROGRAM, VARIABLE, instruction)


def candidates(
    tool: click.Command, invocation: Invocation, words: list[str], begun: str
) -> list[str]:
    """Give what may stand behind these words of a command line, and begins so.

    Args:
        tool: all commands.
        invocation: the common options before them.
        words: the finished ones.
        begun: the unfinished one.
    """
    context = {"obj": dataclasses.replace(invocation, is_interactive=True)}
    completing = ShellComplete(tool, context, PROGRAM, VARIABLE)
    return [item.value for item in completing.get_completions(words, begun)]


def complete_from_node(context: click.Context, what: str, incomplete: str) -> list[CompletionItem]:
    """Give the names that begin so, as the node has them; none when that takes too long.

    Args:
        context: of the command line so far.
        what: "key", "peer", or "key or peer".
        incomplete: the word so far.
    """
    with suppress(SoftadastraError, OSError):
        options = load_options(context.ensure_object(Invocation))
        if options.enable_wal:
            names = _names(options, what, incomplete)
            # What cannot be printed cannot be typed either.
            fitting = (name for name in names if name.startswith(incomplete) and name.isprintable())
            return [CompletionItem(name) for name in fitting]
    return []


def _names(options: ClientOptions, what: str, prefix: str) -> list[str]:
    from softadastra.control.remote import find_node

    log = options.resolved_wal_path()
    running = find_node(log, node_id=options.node_id, silence=ANSWER_SECONDS)
    if running is not None:
        with closing(running):
            return [
                *(_peers(running) if "peer" in what else []),
                *(_keys(running, prefix) if "key" in what else []),
            ]
    if log.stat().st_size > LOG_BYTES_MAX:
        return []
    reading = _read(log, options)
    return [
        *(reading.peers() if "peer" in what else []),
        *(reading.keys(prefix, KEYS_MAX) if "key" in what else []),
    ]


def _keys(running: RemoteNode, prefix: str) -> list[str]:
    return [key for key, _ in islice(running.items(prefix), KEYS_MAX)]


def _peers(running: RemoteNode) -> list[str]:
    return [peer.node_id for peer in running.peers()]


def _read(log: Path, options: ClientOptions) -> Reading:
    """Read a log as `wal inspect` does: nothing is locked, or made."""
    from softadastra.inspection import Reading, read_log
    from softadastra.node_settings import engine_options, policies_of

    steps = read_log(log, policies=policies_of(options), options=engine_options(options))
    (reading,) = (step for step in steps if isinstance(step, Reading))
    return reading
