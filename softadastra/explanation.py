"""Why a key or a peer is not in step: what was found, most important first, and in words."""

from __future__ import annotations

from dataclasses import dataclass

from softadastra.findings import Finding
from softadastra.sentences import advice_on, sentence
from softadastra.vitals import PeerVitals

__all__ = ["KeyExplanation", "KeyWrite", "PeerExplanation", "Readiness"]


class Worded:
    """What was found at a moment, in words. Its classes have the two fields."""

    __slots__ = ()

    observed_ms: int
    findings: tuple[Finding, ...]

    @property
    def sentences(self) -> list[str]:
        """The findings in words, a sentence each."""
        return [sentence(finding, self.observed_ms) for finding in self.findings]

    @property
    def advice(self) -> list[str]:
        """What people can do about them, a sentence each; none when nothing has to be done."""
        return advice_on(self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWrite:
    """A write that stands for a key."""

    sync_id: str
    origin: str
    version: int
    timestamp_ms: int
    """The writer's hybrid clock, in milliseconds since 1970."""
    is_removed: bool
    lacked_by: tuple[str, ...]
    """Peers that do not have it."""
    unknown_of: tuple[str, ...]
    """Peers of which nobody knows whether they have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExplanation(Worded):
    """How a key stands here and at the peers, and why."""

    key: str
    observed_ms: int
    """When this was found, in milliseconds since 1970."""
    policy: str
    """By which policy its conflicts are settled."""
    writes: tuple[KeyWrite, ...]
    """Those that stand for it: one, several in a conflict, none when it is absent."""
    findings: tuple[Finding, ...]
    """Most important first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerExplanation(Worded):
    """How a peer stands with this node, and why."""

    observed_ms: int
    """When this was found, in milliseconds since 1970."""
    peer: PeerVitals
    findings: tuple[Finding, ...]
    """Most important first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness(Worded):
    """Whether a node does what it is there for, and if not, why."""

    observed_ms: int
    """When this was found, in milliseconds since 1970."""
    findings: tuple[Finding, ...]
    """What is wrong, worst first; none when nothing is."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings
