"""The connections that others have made to this node, from the moment that they are accepted.

libzmq accepts whoever comes, as long as there are descriptors, and keeps for ever who has shaken
hands and says nothing. The ROUTER's monitor tells of each of them, so here they are counted, and
cut:

- beyond CALLERS_MAX, or a quarter of the descriptors that the process may have: one of those that
  have said nothing yet, or are on their way out. Of the hosts that have such ones the one with the
  most pays, with the oldest: a node speaks within milliseconds. When there is none, the newest
  goes.
- after FIRST_WORD_MS without a message.
- when they stuff libzmq (`intake.py`).
- by libzmq itself, when they shake no hands; here that is told.
- LEAVE_MS after they were dropped: so long they have to hear why, and to go by themselves.
"""

from __future__ import annotations

import errno
import itertools
import resource
from collections import Counter, deque
from collections.abc import Iterator
from typing import Final

import zmq

from softadastra.security.repeats import KINDS_MAX, TELL_INTERVAL_MS, TELLINGS_MAX
from softadastra.transport.dealer import Happening, happenings
from softadastra.transport.intake import Intake
from softadastra.transport.links import CallerCut
from softadastra.transport.severing import Connection
from softadastra.transport.sockets import Context, Socket

__all__ = ["CALLERS_MAX", "FIRST_WORD_MS", "LEAVE_MS", "Caller", "Callers"]

CALLERS_MAX: Final = 128
"""64 peers that are connected, and as many that come and go. Each costs a descriptor."""
DESCRIPTORS_SHARE: Final = 4
"""Of how many descriptors one may be a caller's. With none left libzmq's thread spins, and nothing
else of the process opens a file; macOS gives a process 256."""
FIRST_WORD_MS: Final = 10_000
"""5 s to shake hands (HANDSHAKE_TIMEOUT_MS), and as long again for a greeting."""
LEAVE_MS: Final = 1_000
NEW_MS: Final = 1_000
"""How long somebody is new: most of those who mean harm begin with it."""

_MONITORED = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
_WENT_AWAY: Final = (errno.ECONNRESET, errno.EPIPE)
"""Why a handshake failed that the other side ended: a dialler that gave up, a look whether the port
is open. There was nothing to refuse."""
_NUMBERS: Final = itertools.count(1)
"""Tell the monitors of one context apart: the name of one that was closed is free some time later.
"""


class Caller:
    """One connection that came in."""

    __slots__ = ("accepted_ms", "connection", "has_spoken", "intake", "is_leaving")

    def __init__(self, connection: Connection, accepted_ms: int) -> None:
        self.connection = connection
        self.accepted_ms = accepted_ms
        self.intake = Intake(connection)
        self.has_spoken = False
        """Whether there was a message that is surely its own."""
        self.is_leaving = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody misses it."""
        return self.is_leaving or not self.has_spoken


class Callers:
    """All of them. For the thread that polls.

    Args:
        context: the node's ZeroMQ context.
        router: the socket that listens; not bound yet.
        is_guarded: whether strangers cannot speak.

    Raises:
        zmq.ZMQError: the system has no socket to give.
    """

    __slots__ = (
        "_by_descriptor",
        "_cut",
        "_failed",
        "_ghosts",
        "_is_guarded",
        "_leaving",
        "_newest_ms",
        "_router",
        "_tell_ms",
        "monitor",
    )

    def __init__(self, context: Context, router: Socket, *, is_guarded: bool) -> None:
        self._is_guarded = is_guarded
        self._router = router
        self._by_descriptor: dict[int, Caller] = {}
        self._failed = ""
        """Why the connection shook no hands that libzmq tells the end of next."""
        self._ghosts: dict[int, int] = {}
        """Descriptors of connections that ended before they had spoken -> when. Something that
        they said may still come, and must not pass for what the next one of that number says: else
        somebody who comes and goes could have another one cut. With keys only friends speak."""
        self._newest_ms = -NEW_MS
        """When somebody came last."""
        self._leaving: deque[tuple[int, Caller]] = deque()
        """When to cut whom, in order."""
        self._cut: Counter[tuple[str, str]] = Counter()
        """Address and reason of those that were cut and not told, and how many."""
        self._tell_ms = 0
        """When to tell of them, at the earliest."""
        self.monitor: Socket = context.socket(zmq.PAIR)
        """To poll for reading; then `follow`."""
        try:
            # Without a limit: libzmq's I/O thread would wait for whoever reads here.
            self.monitor.setsockopt(zmq.RCVHWM, 0)
            endpoint = f"inproc://callers-{next(_NUMBERS)}"
            router.monitor(endpoint, _MONITORED)
            self.monitor.connect(endpoint)
        except zmq.ZMQError:
            self.monitor.close()
            raise

    def __len__(self) -> int:
        return len(self._by_descriptor)

    def is_anyone_new(self, now_ms: int) -> bool:
        """Whether somebody has come a moment ago."""
        return now_ms < self._newest_ms + NEW_MS

    def is_anyone_awaited(self) -> bool:
        """Whether somebody has to speak or go, or is to be told of."""
        return bool(self._leaving or self._cut) or not all(
            caller.has_spoken for caller in self._by_descriptor.values()
        )

    def intakes(self) -> Iterator[Intake]:
        """Give what comes over each connection."""
        return (caller.intake for caller in self._by_descriptor.values())

    def follow(self, port: int, now_ms: int) -> None:
        """Take in who has come and gone."""
        for happening in happenings(self.monitor):
            self._happened(happening, port, now_ms)

    def of(self, frame: zmq.Frame, port: int, now_ms: int) -> Caller | None:
        """Note a message, and give who sent it; None when that is not sure."""
        self.follow(port, now_ms)
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:  # of an old version of ZMTP
            return None
        caller = self._by_descriptor.get(descriptor)
        if caller is None:
            return None
        # Also when it is not sure: a message too many excuses what somebody else's would not.
        caller.intake.heard(len(frame))
        caller.has_spoken = caller.has_spoken or descriptor not in self._ghosts
        return caller if caller.has_spoken else None

    def leave(self, caller: Caller, now_ms: int) -> None:
        """Cut somebody soon, unless it goes by itself."""
        caller.is_leaving = True
        self._leaving.append((now_ms + LEAVE_MS, caller))

    def drained(self, now_ms: int) -> None:
        """Note that all messages were taken that had come by now."""
        # Not of who has ended in this very turn: what it said may come a moment later.
        if self._ghosts:
            self._ghosts = {d: at_ms for d, at_ms in self._ghosts.items() if at_ms >= now_ms}

    def tidy(self, now_ms: int) -> None:
        """Cut who has said nothing for too long, and who was to go by itself."""
        while self._leaving and self._leaving[0][0] <= now_ms:
            self._leaving.popleft()[1].connection.sever()
        for caller in list(self._by_descriptor.values()):
            if not caller.has_spoken and now_ms - caller.accepted_ms >= FIRST_WORD_MS:
                self._sever(caller, "silent")

    def cut(self, intake: Intake, reason: str = "") -> None:
        """Cut whose intake this is.

        Args:
            intake: among the `intakes`.
            reason: to be told; empty: it is told of the link.
        """
        self._sever(self._by_descriptor[intake.connection.descriptor], reason)

    def told(self, now_ms: int) -> list[CallerCut]:
        """Take what there is to tell of those that were cut: at once, and then once a minute."""
        if not self._cut or now_ms < self._tell_ms:
            return []
        self._tell_ms = now_ms + TELL_INTERVAL_MS
        told = [CallerCut(*kind, count) for kind, count in self._cut.most_common(TELLINGS_MAX)]
        self._cut.clear()
        return told

    def close(self) -> None:
        """Hear no more of them; to be called before the socket is closed."""
        self._router.disable_monitor()
        self.monitor.close()

    def _happened(self, happening: Happening, port: int, now_ms: int) -> None:
        descriptor = happening.value
        if happening.event is zmq.Event.HANDSHAKE_FAILED_PROTOCOL:
            is_mismatch = happening.value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
            self._failed = "security on one side alone" if is_mismatch else "no handshake"
            return
        if happening.event is zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
            self._failed = "" if happening.value in _WENT_AWAY else "no handshake"
            return
        if happening.event is zmq.Event.DISCONNECTED:
            gone = self._by_descriptor.pop(descriptor, None)
            failed, self._failed = self._failed, ""
            if failed:
                # Its host is not known any more when it is gone before it was counted.
                self._note(gone.connection.host if gone else "", failed)
            if not self._is_guarded and (gone is None or not gone.has_spoken):
                self._ghosts[descriptor] = now_ms
            return
        connection = Connection.accepted(descriptor, port)
        if connection is None:
            return
        self._by_descriptor[descriptor] = Caller(connection, now_ms)
        self._newest_ms = now_ms
        if len(self._by_descriptor) > _callers_max():
            self._make_room(descriptor)

    def _make_room(self, newest: int) -> None:
        idle = [c for d, c in self._by_descriptor.items() if c.is_idle and d != newest]
        hosts = Counter(caller.connection.host for caller in idle)
        victim = max(
            idle,
            key=lambda caller: (hosts[caller.connection.host], -caller.accepted_ms),
            default=self._by_descriptor[newest],
        )
        self._sever(victim, "too many connections")

    def _sever(self, caller: Caller, reason: str) -> None:
        """Cut a connection; it is counted no more, whatever libzmq has yet to do."""
        del self._by_descriptor[caller.connection.descriptor]
        caller.connection.sever()
        if reason:
            self._note(caller.connection.host, reason)

    def _note(self, host: str, reason: str) -> None:
        """Note what to tell; of very many hosts without their names."""
        self._cut[host if len(self._cut) < KINDS_MAX else "", reason] += 1


def _callers_max() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CALLERS_MAX if limit < 0 else min(CALLERS_MAX, limit // DESCRIPTORS_SHARE)
