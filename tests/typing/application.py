"""A program that uses the public names, with the types that a user would write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import assert_type

from softadastra import (
    BEGINNING,
    Change,
    Client,
    ClientOptions,
    Entry,
    Event,
    Peer,
    PeerStatus,
    PositionLostError,
    PutResult,
    Subscription,
    SyncState,
    TickResult,
    Value,
    Watch,
    WatchOverflowError,
)
from softadastra.aio import AsyncBatch, AsyncClient, AsyncView, AsyncWatch


def settings(name: str) -> ClientOptions:
    options = ClientOptions.memory_only(name)
    options.transport_host = "127.0.0.1"
    options.sync_batch_size = 128
    options.retry_interval = 2.5
    return options.with_transport("127.0.0.1", 0).with_metadata("a node", "1.0")


def write(node: Client) -> None:
    result = node.put("k", {"list": [1, b"two", None], "nested": {"tuple": (1, 2)}})
    assert_type(result, PutResult)
    assert_type(result.sync_id, str)
    assert_type(node.get("k"), Value)
    assert_type(node.get("k", 0), "Value | int")
    assert_type(node.entry("k"), Entry | None)
    assert_type(node.remove("k"), bool)
    node["l"] = 1.5
    with node.batch() as batch:
        batch.put("a", 1)
        batch.remove("l")
    assert_type(batch.results, list[PutResult | None])
    assert_type(dict(node.items("a")), dict[str, Value])


def read(node: Client, position: str | None) -> Iterator[str]:
    try:
        watch = node.watch("a", since=position or BEGINNING)
    except PositionLostError as error:
        assert_type(error.message, str)
        watch = node.watch("a", since=BEGINNING, max_changes=100, max_bytes=1_000_000)
    assert_type(watch, Watch)
    with watch:
        try:
            while (change := watch.get(timeout=0)) is not None:
                assert_type(change, Change)
                assert_type(change.value, Value)
                assert_type(change.position, str)
                yield change.key
        except WatchOverflowError as error:
            assert_type(error.position, str)
        for each in node.watch(since=watch.position):
            yield each.sync_id


def told(event: Event) -> None:
    assert_type(event.fields.get("peer"), object)
    print(event.name, event.level, event.timestamp_ms)


def look(node: Client) -> None:
    subscription = node.on("peer.", told, level="info")
    assert_type(subscription, Subscription)
    subscription.close()
    assert_type(node.sync_state(), SyncState)
    assert_type(node.tick(), TickResult)
    assert_type(node.peers(), list[PeerStatus])
    assert_type(node.peers()[0].peer if node.peers() else None, Peer | None)


async def asynchronous() -> list[str]:
    async with AsyncClient(settings("node-b")) as node:
        results = await asyncio.gather(*(node.put(f"k{i}", i) for i in range(3)))
        assert_type(results, list[PutResult])
        assert_type(await node.get("k0", "absent"), "Value | str")
        view: AsyncView[str] = node.keys()
        assert_type(await view, list[str])
        assert_type(await node.items(), list[tuple[str, Value]])
        async with node.batch() as batch:
            assert_type(batch, AsyncBatch)
            batch["k"] = True
        keys: list[str] = [key async for key in node.keys("k")]
        watch = node.watch(since=BEGINNING)
        assert_type(watch, AsyncWatch)
        async for change in watch:
            assert_type(change, Change)
            keys.append(change.key)
            break
        await watch.close()
        node.on("node.closed", told).close()
        assert_type(await node.wait_synced(0), bool)
        return keys


def main() -> None:
    with Client(settings("node-a")) as node:
        write(node)
        look(node)
        assert next(read(node, None)) == "a"
    assert asyncio.run(asynchronous()) == ["k", "k0", "k1", "k2", "k"]


if __name__ == "__main__":
    main()
