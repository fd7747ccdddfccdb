"""What was seen on the local network: names, what stands behind them, and how much of it is kept.

Everything here may be forged, and as often as somebody likes. So:

- There are NAMES_MAX names at most, and FOUND_MAX peers. What is worth least goes first: names that
  answer nothing, then those that are of no use here, then peers that nobody has ever met. Each has
  its time before it goes, so that a flood goes through the table slowly, and an honest name that
  comes after it finds room.
- Look-ups are few at a time, and few a second. Each name waits its turn.
- A goodbye, and the end of a record's time, take a name from this table, and nothing else. A
  goodbye has its time too, in which the network is asked, and the peer may object.

Pure: times are arguments, and what there is to do and to tell is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from softadastra.discovery.announcement import Announcement, read_announcement
from softadastra.discovery.changes import Change, Clashed, Found, Gone, TurnedAway

__all__ = ["Records", "Surroundings"]

NAMES_MAX: Final = 512
"""Names that are kept: those of FOUND_MAX peers, and as many that are of no use."""
FOUND_MAX: Final = 256
"""Peers that are kept, as many as a node is to know."""
STAY_MS: Final = 30_000
"""How long a name stays at least, when others want its room: time for a few attempts to dial."""
LIFETIME_MAX_MS: Final = 75 * 60_000
"""What RFC 6762, section 10, recommends for such a record; somebody may say years."""
GOODBYE_MS: Final = 15_000
"""How long a name stays after its goodbye: as long as it takes to ask once more for sure."""

TOLD_AGAIN_MS: Final = 60_000
"""How often it is told at most that names found no room, or that a name is claimed."""
NO_ROOM_MS: Final = 100
"""How long a table that had no room is taken for full: a flood of names costs a look at each."""

LOOK_UPS_MAX: Final = 8
LOOK_UP_INTERVAL_MS: Final = 100
"""At most ten look-ups a second, eight at a time: a name that nobody answers for costs a few
seconds and some packets."""
LOOK_UP_AGAIN_MS: Final = 1_000
"""The least time between two look-ups of one name, however often its records change."""
FAILED_WAITS_MS: Final = (5_000, 60_000, 10 * 60_000)
"""How long a look-up that was not answered waits; the last one for all further ones."""


class Use(Enum):
    """What a name has turned out to be."""

    UNKNOWN = "unknown"
    """Not looked up yet, or not answered."""
    NONE = "none"
    """Another cluster's, out of reach, or no node's at all."""
    NAMESAKE = "namesake"
    """Of a node that calls itself as this one does."""
    PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a look-up found."""

    host: str
    """The name that the addresses belong to."""
    text: Mapping[bytes, bytes | None]
    port: int
    addresses: tuple[str, ...]
    """Those that this node may try, best first."""


@dataclass(slots=True)
class Sighting:
    """One name that was seen."""

    name: str
    since_ms: int
    until_ms: int
    """When its time is over."""
    due_ms: int | None
    """When to look it up next; None: when something changes."""
    looked_ms: int | None = None
    """When it was last looked up."""
    is_open: bool = False
    """Whether a look-up is under way."""
    failures: int = 0
    """Look-ups in a row that were not answered."""
    use: Use = Use.UNKNOWN
    node_id: str = ""
    """Invariant: not empty when `use` is PEER."""
    host: str = ""
    """In lower case."""
    addresses: tuple[tuple[str, int], ...] = ()


class Surroundings:
    """The names that were seen, by one node.

    Args:
        own: what this node says of itself.
        is_met: tells whether a node of this id has ever been connected.
    """

    def __init__(self, own: Announcement, is_met: Callable[[str], bool]) -> None:
        self._own = own
        self._is_met = is_met
        self._own_hosts: dict[str, str] = {}
        """This node's own names, and the host that each is announced with."""
        self._clashed_ms = 0
        """When to tell next that somebody claims one of these."""
        self._seen: dict[str, Sighting] = {}
        """By the name in lower case: case makes no difference (RFC 6762, section 16)."""
        self._changes: list[Change] = []
        self._turned_away = 0
        self._turned_away_ms = 0
        """When to tell next that names found no room."""
        self._full_until_ms = 0
        self._look_up_ms = 0
        """When the next look-up may begin."""
        self.is_in_doubt = False
        """Whether the network should be asked again: a name found no room, or took its leave."""

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def found_count(self) -> int:
        """How many names are those of peers."""
        return sum(sighting.use is Use.PEER for sighting in self._seen.values())

    # What happens.

    def call_own(self, name: str, host: str) -> None:
        """This node is announced under this name, which is ignored from now on."""
        self._own_hosts[name.lower()] = host.lower()
        self._forget(name.lower())

    def claimed(self, name: str, host: str, now_ms: int) -> None:
        """Somebody says that the node of this name is on this host.

        Two that take one name at the same moment find it free.
        """
        own_host = self._own_hosts.get(name.lower(), host.lower())
        if host.lower() != own_host and now_ms >= self._clashed_ms:
            self._clashed_ms = now_ms + TOLD_AGAIN_MS
            self._changes.append(Clashed((host,)))

    def seen(self, name: str, lifetime_ms: int, now_ms: int) -> None:
        """Somebody says that there is a node of this name."""
        key = name.lower()
        until_ms = now_ms + min(lifetime_ms, LIFETIME_MAX_MS)
        known = self._seen.get(key)
        if known is not None:
            known.until_ms = until_ms
        elif key not in self._own_hosts and self._make_room(now_ms):
            self._seen[key] = Sighting(name, now_ms, until_ms, due_ms=now_ms)

    def took_leave(self, name: str, now_ms: int) -> None:
        """Somebody says that the node of this name is gone."""
        known = self._seen.get(name.lower())
        if known is not None:
            known.until_ms = min(known.until_ms, now_ms + GOODBYE_MS)
            self.is_in_doubt = True

    def changed(self, name: str, now_ms: int) -> None:
        """Something new is said of the node of this name."""
        known = self._seen.get(name.lower())
        if known is not None:
            self._look_again(known, now_ms)

    def moved(self, host: str, now_ms: int) -> None:
        """Another address is said of this host."""
        host = host.lower()
        for sighting in self._seen.values():
            if sighting.host == host:
                self._look_again(sighting, now_ms)

    def look_again(self, now_ms: int) -> None:
        """Another network is there: what was of no use may be."""
        for sighting in self._seen.values():
            self._look_again(sighting, now_ms)

    def looked_up(self, name: str, records: Records | None, now_ms: int) -> None:
        """Take the result of a look-up; None: nobody answered."""
        sighting = self._seen.get(name.lower())
        if sighting is None:
            return
        sighting.is_open = False
        if records is None:
            wait_ms = FAILED_WAITS_MS[min(sighting.failures, len(FAILED_WAITS_MS) - 1)]
            sighting.failures += 1
            if sighting.due_ms is None:
                sighting.due_ms = now_ms + wait_ms
            return
        sighting.failures = 0
        sighting.host = records.host.lower()
        said = read_announcement(records.text, records.port)
        if said is None or said.cluster != self._own.cluster:
            self._judge(sighting, Use.NONE)
        elif said.node_id == self._own.node_id:
            is_new = sighting.use is not Use.NAMESAKE
            self._judge(sighting, Use.NAMESAKE)
            if is_new:
                self._changes.append(Clashed(records.addresses))
        elif not records.addresses:
            self._judge(sighting, Use.NONE)
        elif sighting.use is Use.PEER or self._make_room_for_peer(now_ms):
            addresses = tuple((address, said.port) for address in records.addresses)
            self._judge(sighting, Use.PEER, said.node_id, addresses)
        else:
            sighting.due_ms = now_ms + STAY_MS

    # What there is to do and to tell.

    def due(self, now_ms: int) -> Iterator[str]:
        """Give the names to look up now; each is taken for begun."""
        while True:
            waiting = [s for s in self._waiting() if s.due_ms is not None and s.due_ms <= now_ms]
            if not waiting or now_ms < self._look_up_ms:
                return
            # The ones that nobody has answered for yet come last: a flood is of these.
            first = min(waiting, key=lambda s: (s.failures, s.due_ms))
            first.due_ms = None
            first.looked_ms = now_ms
            first.is_open = True
            self._look_up_ms = max(self._look_up_ms, now_ms - LOOK_UP_INTERVAL_MS)
            self._look_up_ms += LOOK_UP_INTERVAL_MS
            yield first.name

    def expire(self, now_ms: int) -> None:
        """Let go the names whose time is over."""
        for key in [key for key, s in self._seen.items() if s.until_ms <= now_ms]:
            self._forget(key)

    def take_changes(self, now_ms: int) -> list[Change]:
        """Give what there is to tell, and forget it."""
        changes, self._changes = self._changes, []
        if self._turned_away and now_ms >= self._turned_away_ms:
            changes.append(TurnedAway(self._turned_away))
            self._turned_away = 0
            self._turned_away_ms = now_ms + TOLD_AGAIN_MS
        return changes

    def deadline(self) -> int | None:
        """Give when there will be something to do; None: when something happens."""
        times = [max(s.due_ms or 0, self._look_up_ms) for s in self._waiting()]
        times += [sighting.until_ms for sighting in self._seen.values()]
        return min(times, default=None)

    def _waiting(self) -> list[Sighting]:
        if sum(sighting.is_open for sighting in self._seen.values()) >= LOOK_UPS_MAX:
            return []
        return [s for s in self._seen.values() if s.due_ms is not None and not s.is_open]

    def _look_again(self, sighting: Sighting, now_ms: int) -> None:
        due_ms = now_ms
        if sighting.looked_ms is not None:
            due_ms = max(now_ms, sighting.looked_ms + LOOK_UP_AGAIN_MS)
        sighting.due_ms = min(due_ms, sighting.due_ms or due_ms)

    def _judge(
        self,
        sighting: Sighting,
        use: Use,
        node_id: str = "",
        addresses: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """Note what a name has turned out to be, and tell whom it concerns."""
        before = sighting.node_id
        sighting.use, sighting.node_id, sighting.addresses = use, node_id, addresses
        if before not in ("", node_id):
            self._tell(before)
        if node_id:
            self._tell(node_id)

    def _tell(self, node_id: str) -> None:
        """Tell where a peer is said to be now, by all names that it has."""
        named = [s.addresses for s in self._seen.values() if s.node_id == node_id]
        # In turn, so that of two who claim one name each gets tried.
        longest = max(map(len, named), default=0)
        places = [a[turn] for turn in range(longest) for a in named if turn < len(a)]
        if places:
            self._changes.append(Found(node_id, tuple(dict.fromkeys(places))))
        else:
            self._changes.append(Gone(node_id))

    def _forget(self, key: str) -> None:
        sighting = self._seen.pop(key, None)
        if sighting is not None and sighting.node_id:
            self._tell(sighting.node_id)

    def _make_room(self, now_ms: int) -> bool:
        """Let go a name that is worth less than a new one; give whether there is room."""
        if len(self._seen) < NAMES_MAX:
            return True
        if now_ms < self._full_until_ms:
            self._turned_away += 1
            return False
        return self._let_go((Use.UNKNOWN, Use.NONE, Use.NAMESAKE, Use.PEER), now_ms)

    def _make_room_for_peer(self, now_ms: int) -> bool:
        return self.found_count < FOUND_MAX or self._let_go((Use.PEER,), now_ms)

    def _let_go(self, uses: tuple[Use, ...], now_ms: int) -> bool:
        """Let go a name of one of these uses, of which the first is worth least."""
        found = [
            (uses.index(sighting.use), sighting.since_ms, key)
            for key, sighting in self._seen.items()
            if sighting.use in uses and self._may_go(sighting, now_ms)
        ]
        if not found:
            self._turned_away += 1
            self._full_until_ms = now_ms + NO_ROOM_MS
            self.is_in_doubt = True
            return False
        self._forget(min(found)[2])
        return True

    def _may_go(self, sighting: Sighting, now_ms: int) -> bool:
        match sighting.use:
            case Use.UNKNOWN:
                return sighting.failures > 0
            case Use.NONE | Use.NAMESAKE:
                return now_ms - sighting.since_ms >= STAY_MS
            case Use.PEER:
                return now_ms - sighting.since_ms >= STAY_MS and not self._is_met(sighting.node_id)
