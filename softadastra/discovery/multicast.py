"""Speaks multicast DNS: announces this node, and listens for others. The one part with a network.

zeroconf brings the protocol (RFC 6762): probing, announcing, answering, its cache, its limits. What
it leaves to others is done here:

- It opens its sockets once. Here the interfaces are read every two seconds, and when they have
  changed, or the machine has slept, sockets, announced addresses and questions follow.
- Its browser remembers each name that it ever heard until that name's time is over. Here the
  records themselves are listened to, and `surroundings` keeps what it has room for.
- A name that is taken is changed, and who answers to every name keeps nobody from being announced.

One thread with one event loop; whoever is told is called in it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from contextlib import suppress
from threading import Lock, Thread
from typing import Final

from softadastra.discovery.announcement import SERVICE_TYPE, Announcement, label_of
from softadastra.discovery.changes import Observer
from softadastra.discovery.clocks import read_ms, read_slept_ms
from softadastra.discovery.interfaces import (
    IPAddress,
    Place,
    announced,
    listening_at,
    multicast_at,
    reachable,
    read_places,
)
from softadastra.discovery.questions import Questions
from softadastra.discovery.surroundings import Records, Surroundings
from softadastra.errors import DiscoveryError

try:
    import ifaddr  # noqa: F401  `read_places` needs it later, where nobody could be told

    # There for all who use them, though not in zeroconf's __all__.
    from zeroconf import (  # type: ignore[attr-defined]
        DNSAddress,
        DNSOutgoing,
        DNSPointer,
        DNSQuestion,
        DNSService,
        Error,
        IPVersion,
        RecordUpdate,
        RecordUpdateListener,
        Zeroconf,
    )
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
except ModuleNotFoundError as error:
    raise DiscoveryError(
        f"discovery needs {error.name}, which is not installed: install Softadastra with its extra"
        " discovery, in a checkout by pip install '.[discovery]'"
    ) from error

__all__ = ["Multicast"]

TYPE_PTR: Final = 12
CLASS_IN: Final = 1
QUERY: Final = 0
"""Numbers of RFC 1035, sections 3.2 and 4.1.1."""

INTERFACES_INTERVAL_SECONDS: Final = 2.0
"""How often the interfaces are read, in less than a millisecond; zeroconf's own example does it
every 5 s."""
SETTLING_MS: Final = 10_000
"""For so long after a change sockets are opened again that could not be: an IPv6 address cannot be
used before the network was asked whether another machine has it."""
SLEPT_MS: Final = 1_000
"""A machine that has slept for longer may be somewhere else."""

LOOK_UP_MS: Final = 1_500
"""How long to wait for the records of a name: two questions, the second after a second."""
PROBING_SECONDS: Final = 5.0
"""How long a free name is looked for, which takes a second for each one. After that a random one is
taken: somebody answers to every name."""
TEXT_BYTES_MAX: Final = 1_024
"""A TXT record as long as an announcement can be, twice."""
STARTING_SECONDS: Final = 10.0
RESTART_SECONDS_MIN: Final = 10.0
RESTART_SECONDS_MAX: Final = 600.0
"""How long after it has ended by itself it begins anew: twice as long each time. Whatever ended it
is a bug, and may come again at once."""
STOPPING_SECONDS: Final = 0.8
"""How long `stop` waits for the thread: it says goodbye in one packet."""


class Multicast:
    """Announces one node and looks for others, from `start` to `stop`, once.

    What ends it in between is told, and it begins anew after a while.

    Args:
        own: what is announced.
        listener: the address that the node listens on; see `interfaces.resolved`.
        observer: whoever is told.
    """

    def __init__(self, own: Announcement, listener: IPAddress, observer: Observer) -> None:
        self._own = own
        self._listener = listener
        self._observer = observer
        self._surroundings = Surroundings(own, observer.is_met)
        self._questions = Questions(read_ms(), random.random())  # noqa: S311  a wait is no secret
        self._host = f"softadastra-{secrets.token_hex(8)}.local."
        """A host name that nobody else has. The machine's own one may be announced by another
        program, with other addresses, which ours would take away."""
        self._places: list[Place] = []
        self._service: AsyncServiceInfo | None = None
        """What is announced; None: nothing yet."""
        self._broadcast: object = None
        """The announcing that is under way, which only we keep from being collected."""
        self._look_ups: set[asyncio.Task[None]] = set()
        self._told_problem = ""
        """Why a look-up failed, as it was last told."""
        self._started = _closed_gate()
        self._ended = _closed_gate()
        self._stopped = _closed_gate()
        """Open when it is to begin anew no more."""
        self._is_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._start_error: Exception | None = None
        self._has_started = False
        self._is_running = False
        self._thread = Thread(target=self._run, name="softadastra-discovery", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether it was started, and was not stopped; not while it waits to begin anew."""
        return self._is_running

    def start(self) -> None:
        """Open the sockets; the rest follows in the thread.

        Raises:
            DiscoveryError: they cannot be opened; there is nothing to stop.
        """
        self._thread.start()
        if not self._started.acquire(timeout=STARTING_SECONDS):
            self.stop()
            raise DiscoveryError(f"discovery did not start within {STARTING_SECONDS:g} s")
        if self._start_error is not None:
            raise DiscoveryError(
                f"discovery cannot start: {_words(self._start_error)}; multicast DNS needs UDP "
                "port 5353, shared with the programs that use it, and an interface with multicast"
            ) from self._start_error

    def stop(self) -> None:
        """Say goodbye, close the sockets, and end the thread. Again is no error."""
        self._is_running = False
        if not self._is_stopped:
            self._is_stopped = True
            self._stopped.release()
        loop = self._loop
        if loop is None:  # it begins, and sees that it is not to
            return
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(self._stop_run)
        if self._ended.acquire(timeout=STOPPING_SECONDS):
            self._ended.release()

    def _stop_run(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        seconds = RESTART_SECONDS_MIN
        try:
            while not self._ends(seconds):
                if self._stopped.acquire(timeout=seconds):
                    return
                seconds = min(2 * seconds, RESTART_SECONDS_MAX)
        finally:
            if not self._has_started:
                self._started.release()
            self._ended.release()

    def _ends(self, seconds: float) -> bool:
        """Run until it is stopped, or cannot start; False: it is to begin anew after so long."""
        try:
            asyncio.run(self._main())
        except Exception as error:  # nobody is above: it is told, and the node goes on without
            self._is_running = False
            if not self._has_started:
                self._start_error = error
                return True
            self._observer.failed(
                f"discovery has ended: {_words(error)}; it begins anew in {seconds:g} s"
            )
            return False
        return True

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._woken = asyncio.Event(), asyncio.Event()
        self._places, self._service, self._look_ups = [], None, set()
        if self._is_stopped:  # `stop` came before there was a loop that it could tell
            return
        needs_ipv6 = self._listener.version == 6 and not self._listener.is_loopback
        multicast = AsyncZeroconf(
            interfaces=[], ip_version=IPVersion.All if needs_ipv6 else IPVersion.V4Only
        )
        try:
            await multicast.zeroconf.async_wait_for_start()
            self._is_running = True
            if not self._has_started:
                self._has_started = True
                self._started.release()
            async with asyncio.TaskGroup() as group:
                work = [
                    group.create_task(self._follow_network(multicast)),
                    group.create_task(self._search(multicast.zeroconf)),
                ]
                await self._stopping.wait()
                for task in work:
                    task.cancel()
        finally:
            await self._take_leave(multicast)

    async def _take_leave(self, multicast: AsyncZeroconf) -> None:
        for task in self._look_ups:
            task.cancel()
        if self._service is not None:
            # The first goodbye leaves at once. Two more would follow, at 125 ms each; whoever
            # missed this one finds out by dialling.
            self._broadcast = await multicast.async_unregister_service(self._service)
            await asyncio.sleep(0)
        await multicast.async_close()

    # The interfaces, and what is announced there.

    async def _follow_network(self, multicast: AsyncZeroconf) -> None:
        """Keep sockets and announcement as the interfaces are."""
        slept_ms = read_slept_ms()
        settled_ms = 0
        problem = ""
        has_slept = False
        while True:
            before_ms, slept_ms = slept_ms, read_slept_ms()
            has_slept |= slept_ms - before_ms >= SLEPT_MS
            now_ms = read_ms()
            try:
                places = listening_at(read_places(), self._listener)
                if places != self._places or has_slept:
                    self._places = places
                    self._questions.restart(now_ms, random.random())  # noqa: S311  as above
                    self._surroundings.look_again(now_ms)
                    settled_ms = now_ms + SETTLING_MS
                    self._woken.set()
                if now_ms < settled_ms:
                    await self._settle(multicast, is_late=has_slept)
            except Exception as error:  # ifaddr asserts, and each system has interfaces of its own
                settled_ms = now_ms + SETTLING_MS
                before, problem = problem, _words(error)
                if problem != before:
                    self._observer.failed(f"cannot use an interface for multicast: {problem}")
            else:
                problem = ""
                has_slept = False
            await asyncio.sleep(INTERFACES_INTERVAL_SECONDS)

    async def _settle(self, multicast: AsyncZeroconf, *, is_late: bool) -> None:
        """Announce what there is, where there is something to speak from."""
        addresses = announced(self._places)
        service = self._service
        if service is not None and addresses and (is_late or addresses != addresses_of(service)):
            # Before the sockets: on new ones zeroconf announces what it knows then.
            moved = self._describe(service.name, addresses)
            self._broadcast = await multicast.async_update_service(moved)
            self._service = moved
            self._observer.announced(service.name, addresses)
        await multicast.async_update_interfaces(multicast_at(self._places))
        if service is None and addresses:
            await self._register(multicast, addresses)

    async def _register(self, multicast: AsyncZeroconf, addresses: list[str]) -> None:
        """Find a free name, and announce this node under it."""
        node_id = self._own.node_id
        service = self._describe(f"{label_of(node_id)}.{SERVICE_TYPE}", addresses)
        try:
            async with asyncio.timeout(PROBING_SECONDS):
                self._broadcast = await multicast.async_register_service(
                    service, allow_name_change=True
                )
        except TimeoutError:
            label = label_of(f"{node_id}-{secrets.token_hex(4)}")
            service = self._describe(f"{label}.{SERVICE_TYPE}", addresses)
            self._broadcast = await multicast.async_register_service(
                service, cooperating_responders=True
            )
        self._service = service
        self._surroundings.call_own(service.name, self._host)
        self._observer.announced(service.name, addresses)

    def _describe(self, name: str, addresses: list[str]) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE_TYPE,
            name,
            port=self._own.port,
            properties=self._own.text,
            server=self._host,
            parsed_addresses=addresses,
        )

    # The others.

    async def _search(self, zeroconf: Zeroconf) -> None:
        """Ask, look up who answers, and tell who was found."""
        surroundings, questions = self._surroundings, self._questions
        zeroconf.async_add_listener(Ear(surroundings, self._woken), None)
        while True:
            now_ms = read_ms()
            surroundings.expire(now_ms)
            if surroundings.is_in_doubt:
                surroundings.is_in_doubt = False
                questions.ask_soon(now_ms)
            if now_ms >= questions.due_ms:
                questions.asked(now_ms)
                zeroconf.async_send(question())
            for name in surroundings.due(now_ms):
                task = asyncio.create_task(self._look_up(zeroconf, name))
                self._look_ups.add(task)
                task.add_done_callback(self._look_up_ended)
            for change in surroundings.take_changes(now_ms):
                self._observer.changed(change)
            due_ms = surroundings.deadline()
            due_ms = questions.due_ms if due_ms is None else min(due_ms, questions.due_ms)
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0, due_ms - now_ms) / 1000):
                    await self._woken.wait()

    async def _look_up(self, zeroconf: Zeroconf, name: str) -> None:
        """Find out what stands behind a name."""
        records = None
        try:
            service = AsyncServiceInfo(SERVICE_TYPE, name)
            if await service.async_request(zeroconf, LOOK_UP_MS):
                records = self._records_of(service)
        except Error:
            pass  # It is no name that a node can have, so that nobody answers for it.
        finally:
            self._surroundings.looked_up(name, records, read_ms())
            self._woken.set()

    def _look_up_ended(self, task: asyncio.Task[None]) -> None:
        self._look_ups.discard(task)
        error = None if task.cancelled() else task.exception()
        problem = f"a look-up failed: {_words(error)}" if error is not None else ""
        if problem and problem != self._told_problem:
            self._told_problem = problem
            self._observer.failed(problem)

    def _records_of(self, service: AsyncServiceInfo) -> Records:
        is_short = len(service.text) <= TEXT_BYTES_MAX
        return Records(
            host=service.server or "",
            text=service.properties if is_short else {},
            port=service.port or 0,
            addresses=reachable(service.parsed_scoped_addresses(), self._places),
        )


class Ear(RecordUpdateListener):
    """Hears all records that come, and passes on what concerns nodes.

    Args:
        surroundings: what is seen.
        woken: set when there is something new.
    """

    def __init__(self, surroundings: Surroundings, woken: asyncio.Event) -> None:
        self._surroundings = surroundings
        self._woken = woken

    def async_update_records(
        self,
        zc: Zeroconf,  # noqa: ARG002  zeroconf passes it
        now: float,
        records: list[RecordUpdate],
    ) -> None:
        """Take the records of one packet, or those whose time is over."""
        now_ms = read_ms()
        for update in records:
            record = update.new
            is_over = record.is_expired(now)
            if isinstance(record, DNSPointer):
                if record.name.lower() != SERVICE_TYPE or not is_of_node(record.alias):
                    continue
                if is_over:
                    self._surroundings.took_leave(record.alias, now_ms)
                else:
                    self._surroundings.seen(record.alias, record.ttl * 1000, now_ms)
            elif update.old is not None or is_over:
                continue
            elif isinstance(record, DNSAddress):
                self._surroundings.moved(record.name, now_ms)
            elif is_of_node(record.name):
                self._surroundings.changed(record.name, now_ms)
                if isinstance(record, DNSService):
                    self._surroundings.claimed(record.name, record.server, now_ms)

    def async_update_records_complete(self) -> None:
        """Let it be looked at: what was heard can now be looked up."""
        self._woken.set()


def is_of_node(name: str) -> bool:
    """Whether this is the name of one service of our type."""
    return name.lower().endswith(f".{SERVICE_TYPE}")


def question() -> DNSOutgoing:
    """Ask who is there. All answer: what they are taken to be known for may have been forgotten."""
    out = DNSOutgoing(QUERY)
    out.add_question(DNSQuestion(SERVICE_TYPE, TYPE_PTR, CLASS_IN))
    return out


def addresses_of(service: AsyncServiceInfo) -> list[str]:
    """Give the addresses that are announced, as `announced` gives them."""
    return service.parsed_addresses()


def _closed_gate() -> Lock:
    gate = Lock()
    gate.acquire()
    return gate


def _words(error: BaseException) -> str:
    """Say what went wrong in the system's words, where it has some."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    system = error.strerror if isinstance(error, OSError) else None
    return system or str(error) or type(error).__name__
