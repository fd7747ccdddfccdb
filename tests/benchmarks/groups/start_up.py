"""How long programs take to begin."""

from __future__ import annotations

from tests.benchmarks import start_up
from tests.benchmarks.measure import Figure, Row

__all__ = ["ROWS"]

ROWS = (
    Row(
        name="import",
        work="import softadastra, over a bare interpreter",
        note="Names are loaded when they are first used; this is the package itself.",
        figures=(Figure(unit="ms", is_less_better=True, is_absolute=True, floor=60),),
        count=start_up.PROCESSES,
        product=start_up.importing,
    ),
    Row(
        name="import-client",
        work="from softadastra import Client, ClientOptions, over a bare interpreter",
        note="Reading and running the modules of a node, and ZeroMQ's library.",
        figures=(Figure(unit="ms", is_less_better=True, is_absolute=True),),
        count=start_up.PROCESSES,
        product=start_up.importing_client,
    ),
    Row(
        name="help",
        work="softadastra --help",
        note="The interpreter, click, and no command: the help of the tool imports none.",
        figures=(Figure(unit="ms", is_less_better=True, is_absolute=True, floor=150),),
        count=start_up.PROCESSES,
        product=start_up.help_of_tool,
    ),
)
