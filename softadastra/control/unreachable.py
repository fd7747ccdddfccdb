"""A node that cannot be asked."""

from __future__ import annotations

from softadastra.errors import TransportError

__all__ = ["NodeAbsentError", "NodeGoneError", "NodeSilentError"]


class NodeAbsentError(TransportError):
    """The node does not run, and has to for what is asked."""


class NodeSilentError(TransportError):
    """The node does not answer, though its process is there."""


class NodeGoneError(TransportError):
    """The node ended before it answered; whether it did what was asked is not known."""
