"""`softadastra top`: a node as it works, again and again."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command
from softadastra.cli.invocation import Invocation
from softadastra.cli.keyboard import Keyboard, keyboard
from softadastra.cli.numbers import Number
from softadastra.cli.reaching import reach_node

if TYPE_CHECKING:
    from softadastra import Vitals
    from softadastra.control.operations import Operations

__all__ = ["top"]

QUIT = frozenset("qQ\x1b")
"""Keys that end it: q, or Esc."""


@click.command("top", cls=Command)
@click.option("--once", is_flag=True, help="Show it once, after one interval.")
@click.option(
    "--interval",
    "interval_s",
    type=Number(float, 0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look; rates are those of this time.",
)
@click.pass_obj
def top(invocation: Invocation, *, once: bool, interval_s: float) -> None:
    """Watch a node work: its store, log and outbox, and how each peer stands.

    On a terminal it goes on until q is pressed; otherwise it is shown once. With --json it prints a
    document for each look, a line each. A node that does not run is shown as its log has it, once
    and without rates.
    """
    with reach_node(invocation, creates=False) as reached, keyboard() as keys:
        is_running = reached.is_running
        is_many = is_running and not once and (invocation.json or sys.stdout.isatty())
        pairs = looks(reached.node, keys, interval_s, is_running=is_running)
        if not is_many:
            pairs = islice(pairs, 1)
        if invocation.json:
            for before, now in pairs:
                _print_document(invocation, before, now, is_running=is_running)
        else:
            _show(invocation, pairs, is_running=is_running, is_many=is_many)


def looks(
    node: Operations, keys: Keyboard, interval_s: float, *, is_running: bool
) -> Iterator[tuple[Vitals | None, Vitals]]:
    """Look at a node, until somebody has had enough; give each look with the one before it."""
    before, now = None, node.vitals()
    if not is_running:
        yield before, now
    while is_running and not QUIT.intersection(keys.wait(interval_s)):
        before, now = now, node.vitals()
        yield before, now


def _print_document(
    invocation: Invocation, before: Vitals | None, now: Vitals, *, is_running: bool
) -> None:
    rates = dataclasses.asdict(now.rates_since(before)) if before else None
    vitals = dataclasses.asdict(now)
    invocation.output.document({"running": is_running, "vitals": vitals, "rates": rates})
    sys.stdout.flush()


def _show(
    invocation: Invocation,
    pairs: Iterator[tuple[Vitals | None, Vitals]],
    *,
    is_running: bool,
    is_many: bool,
) -> None:
    from softadastra.cli.top_view import draw

    console = invocation.output.console(sys.stdout)
    pictures = (
        draw(before, now, is_running=is_running, width=console.width) for before, now in pairs
    )
    if not is_many or console.is_dumb_terminal:
        for picture in pictures:
            console.print(picture)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, screen=True) as live:
        for picture in pictures:
            live.update(picture, refresh=True)
