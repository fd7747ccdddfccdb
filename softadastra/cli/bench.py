"""`softadastra bench`: how fast a node is on this disk and this machine, and what limits it."""

from __future__ import annotations

from pathlib import Path

import click

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number

__all__ = ["bench"]

SECONDS_MAX = 3_600.0


class _Address(click.ParamType[tuple[str, int]]):
    """HOST:PORT, or ID@HOST:PORT as everywhere else."""

    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Read it."""
        from softadastra.types import Peer

        text = str(value)
        try:
            peer = Peer.parse(text if "@" in text else f"peer@{text}")
        except ValueError:
            self.fail(f"{text!r} is not HOST:PORT.", param, ctx)
        return peer.host, peer.port


@click.command("bench", cls=Command)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="On the disk to measure (default: the current one).",
)
@click.option(
    "--seconds",
    type=Number(float, 0.1, SECONDS_MAX),
    default=16.0,
    show_default=True,
    help="How long it measures, all in all.",
)
@click.option(
    "--peer",
    "address",
    type=_Address(),
    metavar="HOST:PORT",
    help="Measure the way to this node too; nothing is written there.",
)
@click.pass_obj
def bench(
    invocation: Invocation, directory: Path, seconds: float, address: tuple[str, int] | None
) -> None:
    """Measure a node on this disk and this machine, and say what limits it.

    Puts with each kind of durability, batches, a sync of the disk, and replication to a second
    node on this machine, in a new directory that is removed in the end. A bar's step to the right
    is a factor, the same for all of them.
    """
    if (invocation.node_id, invocation.wal, invocation.config) != (None, None, None):
        raise click.UsageError(
            "The bench makes its own nodes: leave out --node-id, --wal, --config."
        )
    from softadastra.cli.bench_run import run_bench

    run_bench(invocation, directory=directory, seconds=seconds, address=address)
