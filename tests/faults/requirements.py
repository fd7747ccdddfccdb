"""What a fault needs of the machine."""

from __future__ import annotations

from tests.requirements import Requirements, run

__all__ = ["need", "need_root", "need_tool", "run"]

_requirements = Requirements("FAULTS_MUST_RUN")
need = _requirements.need
need_tool = _requirements.need_tool


def need_root() -> None:
    """Go on only as root."""
    _requirements.need_root("mount file systems and trace processes")
