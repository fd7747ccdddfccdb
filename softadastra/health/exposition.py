"""A node's metrics as text that Prometheus reads: its text format, version 0.0.4.

    # HELP softadastra_peer_lag_writes Own writes that the peer has not confirmed.
    # TYPE softadastra_peer_lag_writes gauge
    softadastra_peer_lag_writes{node_id="till",peer="office"} 17

There are no timestamps: node_exporter's textfile collector refuses them, and a scrape has its own.
"""

from __future__ import annotations

from typing import Final

from softadastra.health.metrics import METRICS, Look, Sample
from softadastra.health.readiness import readiness, stopped
from softadastra.vitals import Vitals

__all__ = ["CONTENT_TYPE", "exposition", "exposition_of_stopped"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""What an HTTP answer with this text says of itself (Prometheus: "Exposition formats")."""

HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
LABEL_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition(vitals: Vitals) -> str:
    """Give an open node's metrics. docs/monitoring.md says what each means.

    Args:
        vitals: as `Client.vitals` gives them.

    Returns:
        Lines, the last of them ended too; to be sent as UTF-8 with `CONTENT_TYPE`.
    """
    return text_of(vitals.node.node_id, Look(readiness(vitals), vitals))


def exposition_of_stopped(node_id: str, now_ms: int) -> str:
    """Give the metrics of a node that does not run: that it does not.

    Args:
        node_id: its name.
        now_ms: the wall clock, in milliseconds since 1970.
    """
    return text_of(node_id, Look(stopped(now_ms), None))


def text_of(node_id: str, look: Look) -> str:
    """Write every metric of which there is a number."""
    lines: list[str] = []
    for metric in METRICS:
        samples = [line_of(metric.name, node_id, sample) for sample in metric.samples(look)]
        if samples:
            lines.append(f"# HELP {metric.name} {metric.help.translate(HELP_ESCAPES)}\n")
            lines.append(f"# TYPE {metric.name} {metric.kind}\n")
            lines += samples
    return "".join(lines)


def line_of(name: str, node_id: str, sample: Sample) -> str:
    """Write one number."""
    labels = ",".join(
        f'{label}="{value.translate(LABEL_ESCAPES)}"'
        for label, value in (("node_id", node_id), *sample.labels)
    )
    return f"{name}{sample.suffix}{{{labels}}} {sample.value!r}\n"
