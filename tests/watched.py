"""A node of `tests.engines` with watchers, and readers that keep what they are told."""

from __future__ import annotations

from threading import Lock

from softadastra.errors import PositionLostError, WatchOverflowError
from softadastra.runtime.watcher import Limits, Watcher
from softadastra.runtime.watchers import Watchers
from softadastra.store.policies import LAST_WRITE_WINS, Policies
from softadastra.store.siblings import Sibling
from softadastra.sync.records import Record
from softadastra.types import BEGINNING
from tests.engines import OPTIONS, Network, Node

ROOMY = Limits(1_000_000, 1 << 30)


class WatchedNode(Node):
    """A node that tells watchers of all that it commits."""

    def start(self) -> None:
        super().start()
        self.watchers = Watchers(self.engine.replica, Lock())

    def commit(self, record: Record) -> None:
        super().commit(record)
        if self.watchers.is_any:
            with self.watchers.lock:
                self.watchers.evolved(record)

    def watch(self, since: str | None = None, *, prefix: str = "", limits: Limits = ROOMY):
        return self.watchers.open(prefix, since, limits)

    def packed(self, prefix: str = "") -> dict[str, bytes]:
        """What reads show."""
        replica = self.engine.replica
        found = {key: replica.value(key) for key in replica.entries if key.startswith(prefix)}
        return {key: value for key, value in found.items() if value is not None}


def watched_network(*names: str, policies: Policies = LAST_WRITE_WINS) -> Network:
    """Make a network whose first node is watched."""
    network = Network(*names, policies=policies)
    network.nodes[names[0]] = WatchedNode(network, names[0], OPTIONS, policies)
    return network


def watched(network: Network) -> WatchedNode:
    node = next(iter(network.nodes.values()))
    assert isinstance(node, WatchedNode)
    return node


def taken(watcher: Watcher) -> list[tuple[str, Sibling, str]]:
    """Take all that there is: keys, their writes, and the place behind each."""
    found = []
    while (one := watcher.take()) is not None:
        sighting, place = one
        found.append((sighting.key, sighting.sibling, place.position))
    return found


class Reader:
    """Keeps a copy of what it is told, and its position, as an application does.

    When it fell behind it reads on, or `resumes` in another watch.
    """

    def __init__(
        self, network: Network, prefix: str = "", limits: Limits = ROOMY, *, resumes: bool = False
    ) -> None:
        self.network = network
        self.resumes = resumes
        self.prefix = prefix
        self.limits = limits
        self.copy: dict[str, bytes] = {}
        self.position = BEGINNING
        self.begun_anew = 0
        self.open()

    def open(self) -> None:
        """Go on from where it was, as after a crash; or from the beginning, when that is lost."""
        if self.position == BEGINNING:
            self.copy.clear()
        node = watched(self.network)
        try:
            self.watcher = node.watch(self.position, prefix=self.prefix, limits=self.limits)
        except PositionLostError:
            self.begin_anew()

    def begin_anew(self) -> None:
        self.begun_anew += 1
        self.position = BEGINNING
        self.open()

    def read(self, count: int | None = None) -> None:
        """Take so many changes, or all that there are."""
        while count is None or count > 0:
            try:
                one = self.watcher.take()
            except WatchOverflowError as error:
                if self.resumes:
                    self.position = error.position
                    self.watcher.close()
                    self.open()
                continue
            except PositionLostError:
                self.begin_anew()
                continue
            if one is None:
                return
            count = None if count is None else count - 1
            sighting, place = one
            if sighting.sibling[4]:
                self.copy[sighting.key] = sighting.sibling[4]
            else:
                self.copy.pop(sighting.key, None)
            self.position = place.position
