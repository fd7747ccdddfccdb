"""The client for asyncio: the same names, the same node, and a loop that is never held up."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from softadastra import (
    BEGINNING,
    Change,
    Client,
    ClientOptions,
    Event,
    InvalidArgumentError,
    InvalidStateError,
    NotFoundError,
    Peer,
    StorageError,
    WatchOverflowError,
)
from softadastra.aio import AsyncClient, AsyncWatch
from softadastra.loops import post
from softadastra.store.writes import Assigned, Assignment

DEADLINE_SECONDS = 30.0

AT_ONCE = {"batch", "items", "keys", "on", "values", "watch"}
"""What gives something that is then waited for."""


def options(name: str = "node-a") -> ClientOptions:
    return ClientOptions.memory_only(name)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def public(kind: type) -> dict[str, object]:
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if name[0] != "_"}


def test_both_clients_have_the_same_names():
    assert public(Client).keys() == public(AsyncClient).keys()


@pytest.mark.parametrize("name", sorted(public(Client)))
def test_what_does_anything_is_a_coroutine_with_the_same_arguments(name):
    of_threads, of_loops = public(Client)[name], public(AsyncClient)[name]

    assert isinstance(of_threads, property) == isinstance(of_loops, property)
    if not callable(of_threads):
        return
    assert callable(of_loops)
    assert inspect.iscoroutinefunction(of_loops) == (name not in AT_ONCE)
    if name not in ("pop", "update", "setdefault"):
        ours, theirs = (
            [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (of_threads, of_loops)
        )
        assert ours == theirs


def test_the_package_does_not_import_asyncio():
    code = "import sys, softadastra; softadastra.Client; print('asyncio' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert ended.stdout == "False\n"


def test_values_are_written_and_read():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            result = await node.put("a/1", {"x": [1]})
            assert (result.sync_id, result.status) == ("node-a-1", "created")
            assert await node.get("a/1") == {"x": [1]}
            assert await node.get("b", 7) == 7
            entry = await node.entry("a/1")
            assert entry is not None
            assert entry.version == 1
            assert await node.contains("a/1")
            assert await node.size() == len(node) == 1
            assert not node.is_empty
            assert node
            assert "a/1" in node
            assert node["a/1"] == {"x": [1]}
            assert await node.digest()
            assert await node.conflicts() == []
            assert (await node.sync_state()).outbox_size == 1
            assert await node.peers() == []
            assert (await node.node_info()).node_id == "node-a"
            assert (await node.refresh_node_info()).node_id == "node-a"
            assert (await node.tick()).batch_size == 0
            assert await node.remove("a/1")
            assert not await node.remove("a/1")
            assert repr(node) == "<AsyncClient node-a open>"
        assert not node.is_open
        with pytest.raises(InvalidStateError):
            await node.put("k", 1)
        with pytest.raises(InvalidStateError):
            await node.get("k")

    asyncio.run(program())


def test_views_are_awaited_or_iterated():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            await node.update({f"a/{i:04}": i for i in range(2_000)}, b=1)
            assert len(await node.keys()) == 2_001
            assert (await node.items("b")) == [("b", 1)]
            assert [key async for key in node.keys("a/000")] == [f"a/000{i}" for i in range(10)]
            assert [value async for value in node.values()] == [*range(2_000), 1]
            assert (await anext(aiter(node))) == "a/0000"

    asyncio.run(program())


def test_a_long_view_lets_others_run():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            await node.update({f"{i:05}": i for i in range(2_000)})
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(count())
            await node.keys()
            task.cancel()
            assert turns >= 2_000 // 256

    asyncio.run(program())


def test_the_methods_of_a_mapping():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            assert await node.setdefault("k", 1) == 1
            assert await node.setdefault("k", 2) == 1
            assert await node.pop("k") == 1
            assert await node.pop("k", None) is None
            with pytest.raises(NotFoundError):
                await node.pop("k")
            await node.update([("a", 1), ("b", 2)])
            assert await node.popitem() == ("a", 1)
            await node.clear()
            assert node.is_empty
            with pytest.raises(NotFoundError):
                await node.popitem()

    asyncio.run(program())


def test_a_batch_is_one_record_or_nothing():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            async with node.batch() as batch:
                batch.put("a", 1)
                batch["b"] = 2
                assert node.is_empty
            assert [result and result.status for result in batch.results] == ["created"] * 2
            with pytest.raises(ZeroDivisionError):
                async with node.batch() as batch:
                    batch.remove("a")
                    raise ZeroDivisionError
            assert await node.keys() == ["a", "b"]

    asyncio.run(program())


def counted(node: AsyncClient) -> list[int]:
    """Count what each commit of its writer writes, from now on."""
    writer = node._writer
    assert writer is not None
    counts: list[int] = []
    write = writer._write

    def counting(writes: Sequence[Assignment]) -> list[Assigned | None]:
        counts.append(len(writes))
        return write(writes)

    writer._write = counting
    return counts


def test_durable_puts_of_many_coroutines_share_syncs(tmp_path: Path):
    async def program() -> None:
        async with AsyncClient(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as node:
            counts = counted(node)
            results = await asyncio.gather(*(node.put(f"k{i}", i) for i in range(100)))

            assert [result.n for result in results] == list(range(1, 101)), "in the order asked"
            assert sum(counts) == 100
            assert len(counts) <= 3
        with Client(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as again:
            assert len(again) == 100

    asyncio.run(program())


def test_a_group_of_writes_has_a_largest_size():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            counts = counted(node)
            await asyncio.gather(*(node.put(f"k{i}", i) for i in range(3_000)))
            assert max(counts) <= 1_024
            counts.clear()
            await asyncio.gather(*(node.put(f"l{i}", "x" * 300_000) for i in range(8)))
            assert max(counts) <= 4

    asyncio.run(program())


def test_each_waiter_gets_its_own_error_when_the_disk_refuses():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            writer = node._writer
            assert writer is not None

            def refuse(_: object) -> list[Assigned | None]:
                raise StorageError("no space", errno=28)

            writer._write = refuse
            outcomes = await asyncio.gather(
                *(node.put(f"k{i}", i) for i in range(3)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [StorageError] * 3
            assert len({id(outcome) for outcome in outcomes}) == 3

    asyncio.run(program())


def test_a_value_that_cannot_be_stored_fails_alone():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            good, bad = await asyncio.gather(
                node.put("k", 1),
                node.put("l", object()),  # type: ignore[arg-type]  # that is the point
                return_exceptions=True,
            )
            assert isinstance(bad, InvalidArgumentError)
            assert not isinstance(good, BaseException)
            assert await node.keys() == ["k"]

    asyncio.run(program())


def test_a_write_that_is_cancelled_before_its_turn_is_not_done_and_after_it_is():
    async def program() -> None:
        problems: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: problems.append(what))
        async with AsyncClient(options()) as node:
            writer = node._writer
            assert writer is not None
            gate, entered = threading.Event(), threading.Event()
            write = writer._write

            def slowly(writes: Sequence[Assignment]) -> list[Assigned | None]:
                entered.set()
                gate.wait(DEADLINE_SECONDS)
                return write(writes)

            writer._write = slowly
            first = asyncio.create_task(node.put("first", 1))
            await until(entered.is_set)
            second = asyncio.create_task(node.put("second", 1))
            await asyncio.sleep(0)
            first.cancel()
            second.cancel()
            await asyncio.wait([first, second])
            gate.set()
            await node.put("third", 1)

            assert first.cancelled()
            assert second.cancelled()
            assert await node.keys() == ["first", "third"]
            assert problems == []

    asyncio.run(program())


def test_an_open_that_is_cancelled_is_undone(tmp_path: Path):
    async def program() -> None:
        node = AsyncClient(ClientOptions.persistent("node-a", tmp_path / "a.wal"))
        task = asyncio.create_task(node.open())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not node.is_open
        async with node:
            await node.put("k", 1)

    asyncio.run(program())


def test_what_was_asked_for_before_closing_is_written(tmp_path: Path):
    async def program() -> None:
        node = await AsyncClient(ClientOptions.persistent("node-a", tmp_path / "a.wal")).open()
        puts = [asyncio.create_task(node.put(f"k{i}", i)) for i in range(50)]
        await asyncio.sleep(0)
        await node.close()
        await asyncio.gather(*puts)
        async with node:
            assert len(node) == 50

    asyncio.run(program())


def test_changes_are_waited_for_without_a_thread():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            before = threading.active_count()
            watch = node.watch("a/")
            told: list[Change] = []

            async def read() -> None:
                async for change in watch:
                    told.append(change)

            readers = [asyncio.create_task(read()), *(quiet(node) for _ in range(20))]
            await until(lambda: watch._watcher._wake is not None)
            assert threading.active_count() <= before
            await node.put("a/1", 1)
            await until(lambda: told)
            await watch.close()
            await readers[0]
            assert watch.is_closed
            assert [change.key for change in told] == ["a/1"]
        await asyncio.gather(*readers)

    def quiet(node: AsyncClient) -> asyncio.Task[list[Change]]:
        async def read() -> list[Change]:
            return [change async for change in node.watch("quiet/")]

        return asyncio.create_task(read())

    asyncio.run(program())


def test_a_client_that_closes_ends_its_watches_when_all_was_given():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            watch = node.watch()
            await node.put("k", 1)
        assert [change.key async for change in watch] == ["k"]

    asyncio.run(program())


def test_get_waits_so_long_and_no_longer():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            await node.update({f"k{i:04}": i for i in range(1_500)})
            async with node.watch("k1499", since=BEGINNING) as watch:
                assert await watch.get(0) is not None
                assert await watch.get(0) is None
                assert await watch.get(timeout=0.01) is None
                assert watch._watcher._wake is None
                with pytest.raises(InvalidArgumentError):
                    await watch.get(-1)

    asyncio.run(program())


def test_a_long_way_to_what_is_wanted_lets_others_run():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            start = node.watch().position
            await node.update({f"k{i:04}": i for i in range(5_000)})
            await node.put("wanted", 1)
            watch = node.watch("wanted", since=start)
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(count())
            change = await watch.get(DEADLINE_SECONDS)
            task.cancel()
            assert change is not None
            assert turns >= 5

    asyncio.run(program())


def test_a_reader_with_much_to_read_lets_others_run():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            watch = node.watch()
            await node.update({f"k{i:04}": i for i in range(2_000)})
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(count())
            for _ in range(2_000):
                await anext(watch)
            task.cancel()
            assert turns >= 2_000 // 256

    asyncio.run(program())


def test_a_slow_reader_gets_an_error_and_may_read_on():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            watch = node.watch(max_changes=2)
            for i in range(10):
                await node.put(f"k{i % 5}", i)
            told = []
            with pytest.raises(WatchOverflowError):
                while True:
                    told.append(await anext(watch))
            while (change := await watch.get(0)) is not None:
                told.append(change)
            assert [change.value for change in told] == [0, 1, 5, 6, 7, 8, 9]

    asyncio.run(program())


def test_a_reader_that_is_cancelled_loses_nothing():
    async def program() -> None:
        async with AsyncClient(options()) as node:
            watch: AsyncWatch = node.watch()
            task = asyncio.create_task(watch.get())
            await until(lambda: watch._watcher._wake is not None)
            task.cancel()
            await asyncio.wait([task])
            await node.put("k", 1)
            change = await watch.get(DEADLINE_SECONDS)
            assert change is not None
            assert change.key == "k"

    asyncio.run(program())


def test_events_come_in_the_loop_and_the_last_one_too():
    async def program() -> None:
        told: list[tuple[str, int]] = []

        def tell(event: Event) -> None:
            told.append((event.name, threading.get_ident()))

        async with AsyncClient(options().with_local_transport(0)) as node:
            subscription = node.on("transport.", tell)
            closed = node.on("node.closed", tell)
            await node.start_transport()
            await node.stop_transport()
            node._close()  # before the loop has its next turn
        await until(lambda: closed.is_closed)
        here = threading.get_ident()
        names = ["transport.started", "transport.stopped", "node.closed"]
        assert told == [(name, here) for name in names]
        assert subscription.is_closed

    asyncio.run(program())


def test_two_nodes_meet_and_are_waited_for():
    async def program() -> None:
        made = [AsyncClient(options(name).with_local_transport(0)) for name in "ab"]
        async with made[0] as a, made[1] as b:
            await b.start_transport()
            await a.start_transport()
            assert a.transport_running
            assert not a.discovery_running
            port = b.transport_port
            assert port is not None
            peer = await a.connect(Peer.local("b", port), timeout=DEADLINE_SECONDS)
            async with b.watch() as watch:
                await a.put("k", 1)
                assert await a.wait_synced(DEADLINE_SECONDS)
                change = await watch.get(DEADLINE_SECONDS)
            assert change is not None
            assert change.origin == "a"
            assert (await a.peers())[0].node_id == "b"
            await a.disconnect(peer)
            await a.forget("b")

    asyncio.run(program())


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda node: node.keys(5), "a prefix is a str"),
        (lambda node: node.items(None), "a prefix is a str"),
        (lambda node: node.disconnect(5), "a known peer is named by"),
        (lambda node: node.forget(None), "a known peer is named by"),
        (lambda node: node.connect(5), "a peer is a Peer"),
        (lambda node: node.wait_synced(0, peers=None), "expected 'all'"),
        (lambda node: node.wait_synced(0, peers=-1), "expected 'all'"),
        (lambda node: node.wait_synced(0, up_to="x"), "expected the number of a write"),
    ],
)
def test_wrong_arguments_are_refused_by_the_same_words_as_without_asyncio(ask, words):
    async def program() -> None:
        async with AsyncClient(options()) as node:
            with pytest.raises(InvalidArgumentError, match=words):
                await ask(node)

    asyncio.run(program())


def test_a_wait_that_is_cancelled_or_too_long_leaves_nothing_behind():
    async def program() -> None:
        async with AsyncClient(options().with_local_transport(0)) as node:
            await node.start_transport()
            await node.put("k", 1)
            waiters = node._client._opened().committer.changed
            assert not await node.wait_synced(0.01)
            assert not await node.wait_synced(0)
            task = asyncio.create_task(node.wait_synced())
            await until(lambda: waiters._wakes)
            task.cancel()
            await asyncio.wait([task])
            assert not waiters._wakes
            task = asyncio.create_task(node.wait_synced())
            await until(lambda: waiters._wakes)
            await node.stop_transport()
            assert await task is False

    asyncio.run(program())


def test_several_loops_share_a_client():
    def use(node: AsyncClient, number: int, told: dict[int, int]) -> None:
        async def program() -> None:
            async with node.watch(f"{number}/") as watch:
                await asyncio.gather(*(node.put(f"{number}/{i}", i) for i in range(100)))
                for _ in range(100):
                    assert await watch.get(DEADLINE_SECONDS) is not None
                    told[number] = told.get(number, 0) + 1

        asyncio.run(program())

    async def main() -> None:
        told: dict[int, int] = {}
        async with AsyncClient(options()) as node:
            threads = [threading.Thread(target=use, args=(node, n, told)) for n in range(3)]
            for thread in threads:
                thread.start()
            end = time.monotonic() + DEADLINE_SECONDS
            while any(thread.is_alive() for thread in threads):
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            assert told == {0: 100, 1: 100, 2: 100}
            assert len(node) == 300

    asyncio.run(main())


def test_a_loop_that_is_gone_harms_no_writer():
    """Its coroutine waited for a change when it was closed."""
    loop = asyncio.new_event_loop()
    loop.close()

    async def program() -> None:
        async with AsyncClient(options()) as node:
            watch = node.watch()
            assert watch._watcher.arm(partial(post, loop, print))
            await node.put("k", 1)
            assert watch._watcher._wake is None
            change = await watch.get(0)
            assert change is not None
            assert change.key == "k"

    asyncio.run(program())


def test_logs_are_copied_compacted_and_resolved(tmp_path: Path):
    async def program() -> None:
        async with AsyncClient(ClientOptions.persistent("node-a", tmp_path / "a.wal")) as node:
            await node.put("k", 1)
            await node.backup(tmp_path / "copy.wal")
            await node.compact()
            assert await node.prune_completed() == 0
            assert await node.requeue_failed() == 0
            assert await node.retry_expired() == 0
            assert await node.queue_pending() == 0
            assert await node.tombstone_holds() == []
            with pytest.raises(NotFoundError):
                await node.resolve("k", 2)
        assert (tmp_path / "copy.wal").exists()

    asyncio.run(program())
