"""`softadastra demo`: real node processes, real faults, and a count of what was lost."""

from __future__ import annotations

import random
from pathlib import Path

import click

from softadastra.cli.command import Command
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.errors import InvalidArgumentError, SoftadastraError

__all__ = ["demo"]

NODES_MAX = 16
"""Each is a Python process, and all of them work at the same time."""

SEEDS = 1_000_000
"""A seed of six digits is easy to type again."""


@click.command("demo", cls=Command)
@click.option(
    "--nodes",
    type=Number(int, 2, NODES_MAX),
    default=3,
    show_default=True,
    help="How many processes.",
)
@click.option("--keys", type=Number(int, 1), help="Load the first N characters (default: all).")
@click.option(
    "--seed", type=Number(int), help="Decides who writes what and who fails (default: drawn)."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="For the nodes' files, empty; kept (default: a temporary one).",
)
@click.pass_obj
def demo(
    invocation: Invocation, nodes: int, keys: int | None, seed: int | None, directory: Path | None
) -> None:
    """Watch node processes replicate through a stop and a crash.

    Starts real nodes on free ports, loads the named characters of Unicode on one of them, lets
    the others write, stops one (SIGSTOP), kills one (kill -9), starts it again, and compares
    all that was written with all that each node holds.

    Exits with 0 when all nodes are equal and nothing is lost, with 1 otherwise.
    """
    if (invocation.node_id, invocation.wal, invocation.config) != (None, None, None):
        raise click.UsageError(
            "The demo makes its own nodes: leave out --node-id, --wal, --config."
        )
    if directory is not None and directory.exists() and any(directory.iterdir()):
        raise InvalidArgumentError(
            f"the directory {str(directory)!r} is not empty: the demo compares all that its nodes "
            "hold with what it wrote, so name a new one"
        )
    if seed is None:
        seed = random.SystemRandom().randrange(SEEDS)
    from softadastra.cli.demo_run import run_demo

    try:
        is_good = run_demo(invocation, nodes=nodes, keys=keys, seed=seed, directory=directory)
    except BrokenPipeError:
        # No success: a script that asks whether writes were lost must not read a yes from it.
        raise SoftadastraError(
            "the demo was stopped, as nobody reads its output: whether writes were lost is unknown"
        ) from None
    if not is_good:
        raise click.exceptions.Exit(ExitCode.FAILURE)
