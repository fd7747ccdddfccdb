"""Engines as they are looked at: in words, as people read them."""

from __future__ import annotations

from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.findings import Cause, Finding
from softadastra.health.keys import explain_key
from softadastra.health.moment import Moment
from softadastra.health.peers import explain_peer
from softadastra.health.standing import peer_vitals
from softadastra.sync.status import holders, shown_members, tombstone_holds
from softadastra.vitals import LogRefusal, PeerVitals
from tests.engines import Node


def moment_of(
    node: Node,
    *,
    is_online: bool = True,
    is_writing: bool = True,
    refusal: LogRefusal | None = None,
    auto_tick: bool = True,
) -> Moment:
    excluded = node.engine.admission.excluded(node.now)
    return Moment(node.engine, node.now, is_online, is_writing, refusal, auto_tick, excluded)


def standing(node: Node, peer: str) -> PeerVitals:
    (member,) = [m for m in shown_members(node.engine) if m.node_id == peer]
    return peer_vitals(moment_of(node), member, node.engine.connections.traffic())


def of_peer(node: Node, peer: str, moment: Moment | None = None) -> PeerExplanation:
    (member,) = [m for m in shown_members(node.engine) if m.node_id == peer]
    known = holders(node.engine, node.now)
    holds = {hold.peer: hold for hold in tombstone_holds(node.engine.replica, known)}
    return explain_peer(moment or moment_of(node), member, holds.get(peer))


def of_key(node: Node, key: str, moment: Moment | None = None) -> KeyExplanation:
    return explain_key(moment or moment_of(node), key)


def causes(explanation: KeyExplanation | PeerExplanation) -> list[tuple[Cause, str]]:
    return [(finding.cause, finding.peer) for finding in explanation.findings]


def finding(explanation: KeyExplanation | PeerExplanation, cause: Cause) -> Finding:
    (found,) = [each for each in explanation.findings if each.cause is cause]
    return found
