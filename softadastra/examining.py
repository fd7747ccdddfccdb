"""What a client tells of how it is, and of why something is not in step."""

from __future__ import annotations

from softadastra.errors import NotFoundError
from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.health.keys import explain_key
from softadastra.health.moment import Moment
from softadastra.health.peers import explain_peer
from softadastra.health.pulse import store_vitals, take_pulse
from softadastra.lifecycle import Lifecycle
from softadastra.node import Node
from softadastra.sync.status import holders, shown_members, tombstone_holds
from softadastra.vitals import NodeVitals, Vitals

__all__ = ["Examining"]


class Examining(Lifecycle):
    """A client that can be examined. Every call is safe from any thread.

    Each holds up writers for what it takes to look at peers, not at keys.
    """

    def vitals(self) -> Vitals:
        """Give how this node is: its store, log, outbox and traffic, and each peer.

        The counts are of one moment, but for tombstones, which are counted meanwhile. Two of them
        give rates: see `Vitals.rates_since`.
        """
        node = self._opened()
        with node.lock:
            moment = self._moment(node)
            pulse = take_pulse(moment)
        holds = tombstone_holds(node.replica, pulse.holders)
        info = node.node_info()
        return Vitals(
            observed_ms=moment.now.wall_ms,
            elapsed_ms=moment.now.mono_ms,
            node=NodeVitals(
                node_id=info.node_id,
                display_name=info.display_name,
                version=info.version,
                started_at_ms=info.started_at_ms,
                uptime_ms=max(0, moment.now.wall_ms - info.started_at_ms),
                is_writing=moment.is_writing,
                transport_port=node.transport_port,
                discovery_running=node.discovery.is_running,
                has_failed=node.has_failed,
            ),
            store=store_vitals(pulse, holds),
            log=node.log_vitals(),
            sync=pulse.sync,
            traffic=pulse.traffic,
            peers=pulse.peers,
        )

    def explain_key(self, key: str) -> KeyExplanation:
        """Say why a key is not the same on all nodes, or that it is, as far as this one knows.

        Also of a key that is absent.

        Raises:
            InvalidArgumentError: no such key can exist.
            InvalidStateError: the client is not open.
        """
        node = self._opened()
        key = node.key(key)
        with node.lock:
            return explain_key(self._moment(node), key)

    def explain_peer(self, node_id: str) -> PeerExplanation:
        """Say why a peer is not in step with this node, or that it is, and what it holds back.

        Raises:
            NotFoundError: no such peer is known.
            InvalidStateError: the client is not open.
        """
        node = self._opened()
        with node.lock:
            known = holders(node.engine, node.now())
        has = {peer: what for peer, what in known.items() if peer == node_id}
        hold = next(iter(tombstone_holds(node.replica, has)), None)
        with node.lock:
            shown = shown_members(node.engine)
            member = next((member for member in shown if member.node_id == node_id), None)
            if member is None:
                raise NotFoundError(f"no peer {node_id!r} is known", peer=node_id)
            return explain_peer(self._moment(node), member, hold)

    def _moment(self, node: Node) -> Moment:
        """Look at a node now. Holding its lock."""
        now = node.now()
        return Moment(
            engine=node.engine,
            now=now,
            is_online=node.transport_port is not None,
            is_writing=not node.committer.has_failed,
            refusal=node.committer.refusals.stands,
            auto_tick=self._options.auto_tick,
            excluded=node.engine.admission.excluded(now),
        )
