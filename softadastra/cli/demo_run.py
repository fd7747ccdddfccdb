"""One run of the demo: the cluster, the story, the stage, and what is said of it in the end.

The nodes keep their files in a temporary directory, which is removed, unless a directory was
given or something went wrong.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from softadastra.cli.console import ToolConsole
from softadastra.cli.demo_stage import Stage
from softadastra.cli.demo_story import CONVERGENCE_SECONDS, Ending, Story, named_characters
from softadastra.cli.invocation import Invocation
from softadastra.cli.stop_signals import stopped_as_by_ctrl_c
from softadastra.errors import SoftadastraError
from softadastra.testing import LocalCluster

__all__ = ["run_demo"]

VIOLATIONS_SHOWN = 10
"""More than that are one fault many times over."""


def run_demo(
    invocation: Invocation, *, nodes: int, keys: int | None, seed: int, directory: Path | None
) -> bool:
    """Run the demo and show it.

    Args:
        invocation: where and how it is shown.
        nodes: how many processes, 2 or more.
        keys: how many characters are loaded; None: all.
        seed: of all that is drawn.
        directory: for the nodes' files, empty; None: a temporary one.

    Returns:
        Whether all nodes are equal and nothing is lost.
    """
    with stopped_as_by_ctrl_c(), ExitStack() as removal:
        kept = directory
        if kept is None:
            kept = Path(tempfile.mkdtemp(prefix="softadastra-demo-"))
            removal.callback(shutil.rmtree, kept)
        try:
            ending, stage = _perform(invocation, nodes=nodes, keys=keys, seed=seed, directory=kept)
        except SoftadastraError:
            removal.pop_all()
            invocation.output.note(f"the nodes' files and logs are in {kept}")
            raise
        if not ending.is_good:
            removal.pop_all()
    if invocation.json:
        invocation.output.document(_document(ending, stage, seed=seed))
    else:
        for line in _summary(ending, nodes=nodes, directory=kept):
            invocation.output.line(line)
    return ending.is_good


def _perform(
    invocation: Invocation, *, nodes: int, keys: int | None, seed: int, directory: Path
) -> tuple[Ending, Stage]:
    console = ToolConsole(no_color=invocation.no_color or None, highlight=False, markup=False)
    log_level = "debug" if invocation.verbosity > 0 else "info"
    # Left in reverse order: on Ctrl-C, or when something fails, first the nodes are killed. What
    # asks them then gets an error at once, and its threads end.
    with (
        ThreadPoolExecutor(nodes + 1) as pool,
        Stage(console, pool, is_silent=invocation.json or invocation.output.is_quiet) as stage,
        LocalCluster(nodes, directory=directory, log_level=log_level) as cluster,
    ):
        stage.tell(f"{nodes} nodes are up and connected (seed {seed})")
        stage.watch(cluster.nodes)
        story = Story(cluster, pool, named_characters(keys), seed=seed, tell=stage.tell)
        ending = story.run()
        stage.finish()
    return ending, stage


def _summary(ending: Ending, *, nodes: int, directory: Path) -> list[str]:
    """Say what was found, and in the last line the whole."""
    violations = ending.verdict.violations
    lines = [str(violation) for violation in violations[:VIOLATIONS_SHOWN]]
    if len(violations) > VIOLATIONS_SHOWN:
        lines.append(f"and {len(violations) - VIOLATIONS_SHOWN:,} more")
    if not ending.is_good:
        lines.append(f"the nodes' files and logs are in {directory}")
    seconds = ending.converged_seconds
    converged = (
        f"not equal after {CONVERGENCE_SECONDS:.0f} s"
        if seconds is None
        else f"converged in {seconds:.2f} s"
    )
    lines.append(
        f"{nodes} nodes, {ending.writes_count:,} writes, {converged}, "
        f"{ending.verdict.lost_count:,} writes lost"
    )
    return lines


def _document(ending: Ending, stage: Stage, *, seed: int) -> dict[str, object]:
    violations = ending.verdict.violations
    return {
        "nodes": [asdict(view) for view in stage.views],
        "seed": seed,
        "keys": ending.keys_count,
        "writes": ending.writes_count,
        "writes_unknown": ending.unknown_count,
        "converged": ending.converged_seconds is not None,
        "converged_seconds": ending.converged_seconds,
        "lost": ending.verdict.lost_count,
        "violations_count": len(violations),
        "violations": [str(violation) for violation in violations[:VIOLATIONS_SHOWN]],
        "story": [{"seconds": seconds, "event": event} for seconds, event in stage.story],
    }
