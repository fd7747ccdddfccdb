"""`softadastra node`: who a node is, running one, and those that run."""

from __future__ import annotations

import click

from softadastra.cli.command import Command, Group, Lazy
from softadastra.cli.documents import node_document
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import as_time, as_yes_no
from softadastra.cli.reaching import reach_node

__all__ = ["info", "node"]

node = Group(
    "node",
    help="Describe this node, run it, and stop it.",
    lazy={
        "info": Lazy("softadastra.cli.node:info", "Show who this node is and what it runs on."),
        "run": Lazy("softadastra.cli.running:run", "Run this node until Ctrl-C or SIGTERM."),
        "start": Lazy("softadastra.cli.starting:start", "Run this node, or start it detached."),
        "stop": Lazy("softadastra.cli.nodes:stop", "End this node, and wait until it has ended."),
        "list": Lazy("softadastra.cli.nodes:list_nodes", "List the nodes that run here."),
    },
)


@click.command("info", cls=Command)
@click.pass_obj
def info(invocation: Invocation) -> None:
    """Show who this node is and what it runs on."""
    with reach_node(invocation, creates=False) as reached:
        found = reached.node.node_info()
        document = node_document(reached)
    if invocation.json:
        invocation.output.document({"node": document})
        return
    pid = () if reached.pid is None else (("pid", reached.pid),)
    invocation.output.table(
        "Node info",
        ("Field", "Value"),
        (
            ("node_id", found.node_id),
            ("display_name", found.display_name or "-"),
            ("hostname", found.hostname),
            ("os", found.os_name),
            ("version", found.version),
            ("started_at", as_time(document["started_at_ms"])),
            ("uptime_ms", "-" if document["uptime_ms"] is None else document["uptime_ms"]),
            ("capabilities", len(found.capabilities)),
            ("node_running", as_yes_no(bool(document["running"]))),
            *pid,
        ),
    )
