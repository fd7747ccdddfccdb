"""The client for asyncio: the names of `Client`, as coroutines over the same node.

Reads are of memory and never leave the loop. Writes of many coroutines share syncs. What may block,
as to open or to connect, runs in a thread of its own.

Cancelling is safe and takes nothing back: a write that was cancelled may have happened, or may yet;
the same holds for every call but `open`, which is undone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from softadastra.arguments import seconds
from softadastra.client import CONNECT_SECONDS, RECORD_WRITES, Client
from softadastra.errors import NotFoundError
from softadastra.explanation import KeyExplanation, PeerExplanation
from softadastra.loops import Rows, Writer, in_thread, post, wait_until
from softadastra.observing import WATCH_BYTES, WATCH_CHANGES
from softadastra.options import ClientOptions
from softadastra.runtime.listening import Subscription, level_named
from softadastra.runtime.watcher import Limits
from softadastra.store.siblings import TOMBSTONE
from softadastra.store.writes import Assignment
from softadastra.streams import AsyncBatch, AsyncView, AsyncWatch
from softadastra.types import (
    Conflict,
    Entry,
    Event,
    NodeInfo,
    Peer,
    PeerStatus,
    PutResult,
    Storable,
    SyncState,
    TickResult,
    TombstoneHold,
    Value,
)
from softadastra.vitals import Vitals

__all__ = ["AsyncBatch", "AsyncClient", "AsyncView", "AsyncWatch"]

T = TypeVar("T")

MISSING: Final = object()


class AsyncClient:
    """A node, for asyncio: every name of `Client`, as a coroutine where it does anything.

    `watch`, `batch`, `keys`, `items`, `values` and `on` give something at once, that is then waited
    for; properties are properties. Use it in `async with`, or call `open` and `close`. Any number
    of event loops, in as many threads, may use one client.

    Args:
        options: the node's settings; checked as a whole by `open`.
    """

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._client = Client(options)
        self._writer: Writer | None = None
        self._lifecycle = Lock()

    async def open(self) -> Self:
        """See `Client.open`. When it is cancelled, the client is closed again."""

        def was_opened() -> bool:
            with self._lifecycle:
                is_new = not self._client.is_open
                node = self._client.open()._opened()
                if self._writer is None:
                    self._writer = Writer(node.write)
                    self._writer.start()
                return is_new

        await in_thread(was_opened, undo=None if self._client.is_open else self._close)
        return self

    async def close(self) -> None:
        """See `Client.close`. What was written before is done first; cancelled, it goes on."""
        await in_thread(self._close)

    def _close(self) -> None:
        if self._client._is_inherited:
            # In a forked child its threads are not there, and may have held their locks.
            return
        with self._lifecycle:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.stop()
            self._client.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._client)[1:]}"

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._client.is_open

    @property
    def options(self) -> ClientOptions:
        """The settings it was made with. Changing them changes nothing while it is open."""
        return self._client.options

    # Values.

    async def _write(self, writes: Sequence[Assignment]) -> Rows:
        writer = self._writer
        if writer is None:
            self._client._opened()
            raise AssertionError("a client that is open has a writer")
        return await writer.write(writes)

    async def put(self, key: str, value: Storable) -> PutResult:
        """See `Client.put`. Puts of many coroutines share syncs.

        When it is cancelled it may have happened, or may yet; a later read tells.
        """
        (row,) = await self._write([self._client._opened().assignment(key, value)])
        assert row is not None, "a put always has a result"
        return PutResult._make(row)

    async def remove(self, key: str, *, seen: Iterable[str] | None = None) -> bool:
        """See `Client.remove`; cancelled, as `put`."""
        if seen is not None:
            return await in_thread(lambda: self._client.remove(key, seen=seen))
        (row,) = await self._write([(self._client._opened().key(key), TOMBSTONE, 0)])
        return row is not None

    @overload
    async def get(self, key: str) -> Value: ...
    @overload
    async def get(self, key: str, default: T) -> Value | T: ...
    async def get(self, key: str, default: object = None) -> object:
        """See `Client.get`."""
        return self._client.get(key, default)

    async def entry(self, key: str) -> Entry | None:
        """See `Client.entry`."""
        return self._client.entry(key)

    async def contains(self, key: object) -> bool:
        """See `Client.contains`."""
        return self._client.contains(key)

    async def size(self) -> int:
        """See `Client.size`."""
        return self._client.size()

    @property
    def is_empty(self) -> bool:
        """Whether no key has a value."""
        return self._client.is_empty

    def keys(self, prefix: str = "") -> AsyncView[str]:
        """See `Client.keys`: to be awaited, for a list, or iterated with `async for`."""
        return AsyncView(self._client.keys(prefix))

    def items(self, prefix: str = "") -> AsyncView[tuple[str, Value]]:
        """See `Client.items`: to be awaited, for a list, or iterated with `async for`."""
        return AsyncView(self._client.items(prefix))

    def values(self) -> AsyncView[Value]:
        """See `Client.values`: to be awaited, for a list, or iterated with `async for`."""
        return AsyncView(self._client.values())

    def batch(self) -> AsyncBatch:
        """See `Client.batch`: `async with client.batch() as batch: batch.put(key, value)`."""
        node = self._client._opened()
        return AsyncBatch(node.assignment, node.key, self._write)

    async def digest(self) -> str:
        """See `Client.digest`."""
        return self._client.digest()

    # The mapping protocol, as far as it can be had with coroutines.

    def __getitem__(self, key: str) -> Value:
        return self._client[key]

    def __contains__(self, key: object) -> bool:
        return self._client.contains(key)

    def __len__(self) -> int:
        return self._client.size()

    def __bool__(self) -> bool:
        return True

    def __aiter__(self) -> AsyncIterator[str]:
        return self.keys().__aiter__()

    async def pop(self, key: str, default: object = MISSING) -> Any:
        """Remove a key and give its value, `default` when it is absent.

        Raises:
            NotFoundError: it is absent, and there is no default.
        """
        value = self._client.get(key, MISSING)
        if value is MISSING:
            if default is MISSING:
                raise NotFoundError(f"key not found: {key!r}", key=key)
            return default
        await self.remove(key)
        return value

    async def popitem(self) -> tuple[str, Value]:
        """Remove a key and give it with its value.

        Raises:
            NotFoundError: there is none.
        """
        for key, value in self._client.items():
            await self.remove(key)
            return key, value
        raise NotFoundError("no key is left")

    async def modify(
        self, key: str, function: Callable[[Any], Storable], default: object = None
    ) -> PutResult:
        """See `Client.modify`. The function is called in another thread; cancelled, as `put`."""
        return await in_thread(lambda: self._client.modify(key, function, default))

    async def setdefault(self, key: str, default: Storable = None) -> Any:
        """Give the value of a key, which is put when it is absent."""
        value = self._client.get(key, MISSING)
        if value is MISSING:
            await self.put(key, default)
            return self._client.get(key)
        return value

    async def update(
        self,
        other: Mapping[str, Storable] | Iterable[tuple[str, Storable]] = (),
        /,
        **values: Storable,
    ) -> None:
        """Put many: of at most 1,024 writes each becomes one record."""
        node = self._client._opened()
        rows: Iterator[tuple[str, Storable]] = iter(dict(other, **values).items())
        writes = [node.assignment(key, value) for key, value in rows]
        for first in range(0, len(writes), RECORD_WRITES):
            await self._write(writes[first : first + RECORD_WRITES])

    async def clear(self) -> None:
        """Remove all keys that there are now."""
        keys = list(self._client)
        for first in range(0, len(keys), RECORD_WRITES):
            await self._write([(key, TOMBSTONE, 0) for key in keys[first : first + RECORD_WRITES]])

    # Changes and events.

    def watch(
        self,
        prefix: str = "",
        *,
        since: str | None = None,
        max_changes: int = WATCH_CHANGES,
        max_bytes: int = WATCH_BYTES,
    ) -> AsyncWatch:
        """See `Client.watch`: `async for change in client.watch()`."""
        watcher = self._client._watcher(prefix, since, Limits(max_changes, max_bytes))
        origins = self._client._opened().replica.origins
        return AsyncWatch(watcher, origins, self._client._check_own)

    def on(
        self, event: str, callback: Callable[[Event], object], *, level: str = "debug"
    ) -> Subscription:
        """See `Client.on`. To be called in a loop, which then calls the callback, a function."""
        loop = asyncio.get_running_loop()
        listeners = self._client._opened().events.listeners

        def call() -> None:
            while subscription.call():
                pass

        subscription = listeners.add(
            event, callback, level=level_named(level), tell=partial(post, loop, call)
        )
        return subscription

    # Conflicts.

    async def conflicts(self) -> list[Conflict]:
        """See `Client.conflicts`."""
        return self._client.conflicts()

    async def resolve(
        self, key: str, value: Storable, *, seen: Iterable[str] | None = None
    ) -> PutResult:
        """See `Client.resolve`; cancelled, as `put`."""
        return await in_thread(lambda: self._client.resolve(key, value, seen=seen))

    # Synchronization.

    async def tick(self, prune: bool = False) -> TickResult:
        """See `Client.tick`."""
        return await in_thread(lambda: self._client.tick(prune))

    async def sync_state(self) -> SyncState:
        """See `Client.sync_state`."""
        return self._client.sync_state()

    async def retry_expired(self) -> int:
        """See `Client.retry_expired`."""
        return await in_thread(self._client.retry_expired)

    async def prune_completed(self) -> int:
        """See `Client.prune_completed`."""
        return await in_thread(self._client.prune_completed)

    async def requeue_failed(self) -> int:
        """See `Client.requeue_failed`."""
        return await in_thread(self._client.requeue_failed)

    async def queue_pending(self) -> int:
        """See `Client.queue_pending`."""
        return await in_thread(self._client.queue_pending)

    async def wait_synced(
        self,
        timeout: float | None = None,
        peers: str | int | Iterable[str] = "all",
        *,
        up_to: int | None = None,
    ) -> bool:
        """See `Client.wait_synced`. No thread waits."""
        node = self._client._opened()
        limit = None if timeout is None else seconds(timeout)
        is_done = node.synced(peers, up_to)
        await wait_until(
            node.committer.changed, lambda: is_done() or node.transport_port is None, limit
        )
        with node.lock:
            return is_done()

    # Peers.

    @property
    def transport_running(self) -> bool:
        """Whether `start_transport` was called and the transport works."""
        return self._client.transport_running

    @property
    def transport_port(self) -> int | None:
        """The port that is bound, None when the transport does not run."""
        return self._client.transport_port

    async def start_transport(self) -> None:
        """See `Client.start_transport`."""
        await in_thread(self._client.start_transport)

    async def stop_transport(self) -> None:
        """See `Client.stop_transport`."""
        await in_thread(self._client.stop_transport)

    @property
    def discovery_running(self) -> bool:
        """Whether `start_discovery` was called and peers are looked for."""
        return self._client.discovery_running

    async def start_discovery(self) -> None:
        """See `Client.start_discovery`."""
        await in_thread(self._client.start_discovery)

    async def stop_discovery(self) -> None:
        """See `Client.stop_discovery`."""
        await in_thread(self._client.stop_discovery)

    async def connect(self, peer: Peer | str, timeout: float = CONNECT_SECONDS) -> Peer:
        """See `Client.connect`. Cancelled, the peer stays registered."""
        return await in_thread(lambda: self._client.connect(peer, timeout))

    async def disconnect(self, peer: Peer | str) -> None:
        """See `Client.disconnect`."""
        await in_thread(lambda: self._client.disconnect(peer))

    async def forget(self, node_id: str) -> None:
        """See `Client.forget`."""
        await in_thread(lambda: self._client.forget(node_id))

    async def peers(self) -> list[PeerStatus]:
        """See `Client.peers`."""
        return self._client.peers()

    async def tombstone_holds(self) -> list[TombstoneHold]:
        """See `Client.tombstone_holds`."""
        return await in_thread(self._client.tombstone_holds)

    # How it is.

    async def vitals(self) -> Vitals:
        """See `Client.vitals`."""
        return await in_thread(self._client.vitals)

    async def explain_key(self, key: str) -> KeyExplanation:
        """See `Client.explain_key`."""
        return self._client.explain_key(key)

    async def explain_peer(self, node_id: str) -> PeerExplanation:
        """See `Client.explain_peer`."""
        return await in_thread(lambda: self._client.explain_peer(node_id))

    # The node.

    async def backup(self, path: str | os.PathLike[str]) -> None:
        """See `Client.backup`."""
        await in_thread(lambda: self._client.backup(path))

    async def compact(self) -> None:
        """See `Client.compact`."""
        await in_thread(self._client.compact)

    async def node_info(self) -> NodeInfo:
        """See `Client.node_info`."""
        return await in_thread(self._client.node_info)

    async def refresh_node_info(self) -> NodeInfo:
        """See `Client.refresh_node_info`."""
        return await in_thread(self._client.refresh_node_info)
