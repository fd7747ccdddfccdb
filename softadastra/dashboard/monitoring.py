"""What machines ask a dashboard: the node's metrics, and whether it is in order."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

from softadastra.client import Client
from softadastra.dashboard.documents import Document
from softadastra.errors import InvalidStateError
from softadastra.explanation import Readiness
from softadastra.health.exposition import exposition, exposition_of_stopped
from softadastra.health.readiness import readiness, stopped
from softadastra.vitals import Vitals

__all__ = ["Monitoring"]

FRESH_SECONDS: Final = 1.0
"""How long one look serves all who ask: they need no token, so however many they are, they cost the
node one look a second. Prometheus asks every 15 s, others hardly more often."""


class Monitoring:
    """Looks at a node for those who watch over many. Safe from any thread.

    Args:
        client: the node.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = Lock()
        self._vitals: Vitals | None = None
        self._looked_at = 0.0

    def metrics(self) -> str:
        """Give the metrics as Prometheus reads them; of a node that is closed, that it is."""
        vitals = self._look()
        if vitals is None:
            return exposition_of_stopped(self._client.options.node_id, _wall_ms())
        return exposition(vitals)

    def health(self, *, in_full: bool) -> tuple[bool, Document]:
        """Give whether the node is in order, and a document that says so.

        Args:
            in_full: whether to say why not, which may name files and peers.
        """
        vitals = self._look()
        found: Readiness = stopped(_wall_ms()) if vitals is None else readiness(vitals)
        if not in_full:
            return found.ok, {"ok": found.ok}
        told = {"findings": found.sentences, "advice": found.advice}
        return found.ok, {"ok": found.ok, "observed_ms": found.observed_ms, **told}

    def _look(self) -> Vitals | None:
        with self._lock:
            if not self._client.is_open:
                self._vitals = None
            elif self._vitals is None or time.monotonic() - self._looked_at >= FRESH_SECONDS:
                try:
                    self._vitals = self._client.vitals()
                except InvalidStateError:  # it was closed in between
                    self._vitals = None
                self._looked_at = time.monotonic()
            return self._vitals


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
