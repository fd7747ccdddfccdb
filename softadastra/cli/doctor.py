"""`softadastra doctor`: what is wrong with this node, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import click

from softadastra.cli.checks import (
    Finding,
    State,
    check_conflicts,
    check_keys,
    check_listing,
    check_log,
    check_outbox,
    check_peers,
    check_place,
    check_port,
    check_readiness,
    check_settings,
)
from softadastra.cli.command import Command
from softadastra.cli.documents import fields_of
from softadastra.cli.exit_codes import ExitCode
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import tell
from softadastra.cli.reaching import find_running, load_options
from softadastra.errors import SoftadastraError
from softadastra.options import ClientOptions

__all__ = ["doctor"]


@click.command("doctor", cls=Command)
@click.pass_obj
def doctor(invocation: Invocation) -> None:
    """Look for what is wrong, and say what to do.

    At the settings, the log, the disk, the port, the keys, and at the node when it runs: its
    peers, its outbox and its conflicts. Nothing is changed; the log is not opened, only its header
    is read (`wal verify` reads all of it). Exits with 1 when there is a problem; a warning is none.
    """
    findings = list(_findings(load_options(invocation)))
    problems = [each for each in findings if each.state is State.PROBLEM]
    if invocation.json:
        documents = [fields_of(each) for each in findings]
        invocation.output.document({"ok": not problems, "checks": documents})
    else:
        invocation.output.table(
            "Softadastra doctor",
            ("Check", "State", "What was found"),
            ((each.check, each.state, each.found) for each in findings),
        )
        advised = [each for each in findings if each.advice]
        if advised:
            invocation.output.line("")
        for each in advised:
            invocation.output.line(f"{each.check}: {each.advice}.")
        if not problems:
            invocation.output.note("No problems.")
    if problems:
        names = ", ".join(dict.fromkeys(each.check for each in problems))
        tell(f"Problems: {names}.")
        raise click.exceptions.Exit(ExitCode.FAILURE)


def _findings(options: ClientOptions) -> Iterator[Finding]:
    yield check_settings(options)
    yield from check_keys(options)
    if not options.enable_wal:
        yield Finding(check="log", state=State.OK, found="nothing is kept on disk")
        return
    yield check_log(options)
    yield from check_place(options)
    yield check_listing()
    try:
        running = find_running(options)
    except SoftadastraError as error:
        yield Finding(
            check="node",
            state=State.PROBLEM,
            found=error.message,
            advice="see what its process does; kill -9 loses nothing that was acknowledged",
        )
        return
    if running is None:
        yield Finding(check="node", state=State.OK, found="it does not run")
        yield from check_port(options)
        return
    with closing(running):
        about = running.about
        yield Finding(check="node", state=State.OK, found=f"it runs as process {about.pid}")
        yield from check_readiness(running)
        yield from check_peers(running)
        yield check_outbox(running)
        yield check_conflicts(running)
