"""Logs as engines make them: what they note becomes lines, as `configure_logging` writes them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

from softadastra.sync.notices import Level
from softadastra.tracing.journey import Journey, journey_of
from softadastra.tracing.logs import Logs
from softadastra.tracing.sync_ids import parse_sync_id
from tests.engines import Network


class Recorder:
    """Writes down what the engines of a network note, each with the clock of its node."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.lines: defaultdict[str, list[str]] = defaultdict(list)

    def write(self, name: str, key: str, value: str) -> str:
        """Write on a node, with the event that its committer notes; give the sync id."""
        node = self.network[name]
        node.write((key, value))
        sync_id = f"{name}-{node.engine.replica.top}"
        facts = {"sync_id": sync_id, "key": key, "durable": True}
        node.engine.notices.note(Level.DEBUG, "write.accepted", **facts)
        return sync_id

    def step(self) -> None:
        """Let each node take in what came to it, and answer; then write down what it noted."""
        self.network.deliver()
        for node in self.network.nodes.values():
            node.poll()
            self.take()

    def run(self) -> None:
        """Go on until nothing moves."""
        for _ in range(100):
            self.step()
            if not self.network.wire:
                return
        raise AssertionError("still moving")

    def take(self) -> None:
        for name, node in self.network.nodes.items():
            for level, event, fields in node.engine.notices.take():
                common = {"event": event, "level": level.name.lower(), "node_id": name}
                line = common | {"ts": node.now.wall_ms} | fields
                self.lines[name].append(json.dumps(line) + "\n")


def journey(lines: Mapping[str, list[str]], sync_id: str) -> Journey:
    """Trace a write through logs, by name of their files."""
    logs = Logs(parse_sync_id(sync_id))
    for name, text in lines.items():
        logs.read(name, text)
    return journey_of(logs)


def told(found: Journey) -> list[tuple[str, str]]:
    """Give the nodes and stages of a journey, in order."""
    return [(step.node_id, step.stage.value) for step in found.steps]
