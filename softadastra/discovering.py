"""One node's discovery: what it announces, and how it is started and stopped.

zeroconf is imported by the first start, and by nothing else: it takes 100 ms, and not everybody
has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.discovery.announcement import Announcement
from softadastra.discovery.interfaces import resolved
from softadastra.errors import DiscoveryError, InvalidStateError
from softadastra.options import ClientOptions
from softadastra.runtime.events import Events
from softadastra.runtime.finding import Finding
from softadastra.sync.messages import PROTOCOL
from softadastra.sync.notices import Level, Notice

if TYPE_CHECKING:
    from softadastra.discovery.multicast import Multicast

__all__ = ["Discovering"]

CONFINED = (
    "only nodes on this machine find this one, and are found: to be found on the network, listen "
    'there, as on "0.0.0.0", with security="curve", or with insecure=True where everybody on the '
    "network may read and write"
)


class Discovering:
    """Starts and stops the search for peers.

    Args:
        options: the node's settings.
        events: where to tell what happens.
    """

    def __init__(self, options: ClientOptions, events: Events) -> None:
        self._options = options
        self._events = events
        self._multicast: Multicast | None = None

    @property
    def is_running(self) -> bool:
        """Whether peers are looked for."""
        return self._multicast is not None and self._multicast.is_running

    def check(self, port: int | None) -> int:
        """Give the port to announce.

        Raises:
            DiscoveryError: the options do not allow discovery.
            InvalidStateError: nothing listens.
        """
        if not self._options.enable_discovery:
            raise DiscoveryError(
                "discovery is disabled: set enable_discovery=True in the options, or make them "
                "with with_discovery()"
            )
        if port is None:
            raise InvalidStateError(
                "the transport does not run, and found peers could not be dialled: call "
                "start_transport() first"
            )
        return port

    def start(self, port: int, finding: Finding) -> None:
        """Announce a node that listens on this port, and look for others. Running already: nothing.

        Raises:
            DiscoveryError: it cannot be done. It is told as an event, too.
        """
        if self.is_running:
            return
        self.stop()  # what has ended by itself, and waits to begin anew
        try:
            self._multicast = self._begin(port, finding)
        except DiscoveryError as error:
            self._tell(Level.WARNING, "discovery.failed", error=error.message)
            raise
        host = self._options.transport_host
        self._tell(Level.INFO, "discovery.started", host=host, port=port)
        listener = resolved(host)
        if listener is not None and listener.is_loopback:
            self._tell(Level.WARNING, "discovery.confined", host=host, advice=CONFINED)

    def stop(self) -> None:
        """Say goodbye, and look no more. Not running: nothing."""
        multicast = self._multicast
        if multicast is None:
            return
        was_running = multicast.is_running
        multicast.stop()
        self._multicast = None
        if was_running:
            self._tell(Level.INFO, "discovery.stopped")

    def _begin(self, port: int, finding: Finding) -> Multicast:
        options = self._options
        own = Announcement(
            node_id=options.node_id, cluster=options.cluster, protocol=PROTOCOL, port=port
        )
        listener = resolved(options.transport_host)
        if listener is None:
            raise DiscoveryError(
                f"discovery cannot start: {options.transport_host!r} is no address of this machine"
            )
        from softadastra.discovery.multicast import Multicast

        multicast = Multicast(own, listener, finding)
        multicast.start()
        return multicast

    def _tell(self, level: Level, event: str, **fields: object) -> None:
        self._events.emit(Notice(level, event, fields))
