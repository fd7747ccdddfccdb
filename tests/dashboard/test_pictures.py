"""The pictures in docs/dashboard.md can be taken of a real page: `make screenshots` keeps them."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from softadastra import Client, ClientOptions, Peer
from softadastra.dashboard import Dashboard
from softadastra.dashboard.history import KEPT_MS, Sample
from tests.eventually import eventually

from .chromium import Page, chromium

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PRICES: Final = {"tea": 350, "scone": 420, "cake": 510, "coffee": 380}


class View(NamedTuple):
    """What is in one picture."""

    name: str
    width: int
    height: int
    scheme: str


VIEWS: Final = (
    View("dashboard-light", 1120, 1250, "light"),
    View("dashboard-dark", 1120, 1250, "dark"),
    View("dashboard-phone", 360, 1450, "light"),
)


def listening(name: str, stack: ExitStack, wal: Path | None = None) -> Client:
    policies = {"cart/": "manual"}
    made = (
        ClientOptions.memory_only(name, conflict_policies=policies)
        if wal is None
        else ClientOptions.persistent(name, wal, conflict_policies=policies)
    )
    client = stack.enter_context(Client(made.with_local_transport()))
    client.start_transport()
    return client


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a shop with two tills, an office, and a van that is on its way."""
    directory = tmp_path_factory.mktemp("shop")
    with ExitStack() as stack:
        node = listening("shop", stack, directory / "shop.wal")
        others = [listening(name, stack) for name in ("till-1", "till-2", "office", "van")]
        others[0].put("cart/17", {"tea": 2, "scone": 1})
        node.put("cart/17", {"tea": 2, "cake": 1})
        others[2].put("price/tea", 360)
        node.update({f"price/{name}": price for name, price in PRICES.items()})
        for other in others:
            assert other.transport_port is not None
            node.connect(Peer.local(other.options.node_id, other.transport_port))
        eventually(lambda: len(node.conflicts()) == 2)
        assert node.wait_synced(20)
        others[3].close()
        eventually(lambda: {peer.state for peer in node.peers()} > {"connected"})
        for number in range(1, 19):
            node.put(f"sale/{number:04}", {"item": "tea", "paid": 350 + number})

        page = stack.enter_context(chromium(directory / "profile"))
        dashboard = stack.enter_context(Dashboard(node, port=0))
        assert dashboard._serving is not None
        for sample in quarter_of_an_hour(time.time_ns() // 1_000_000):
            dashboard._serving._history.add(sample)
        page.open(dashboard.link)
        eventually(lambda: page.find_all("#conflicts-open .conflict"))
        others[0].put("sale/1001", {"item": "cake", "paid": 510})
        others[1].put("sale/2001", {"item": "scone", "paid": 420})
        eventually(lambda: "sale/2001" in page.text("#happenings-list"))
        eventually(lambda: "/s" in page.text("#tiles"))
        yield page


def quarter_of_an_hour(now_ms: int) -> Iterator[Sample]:
    """An outbox that filled when somebody was away, and was emptied when they came back."""
    for second in range(0, KEPT_MS // 1000, 5):
        away = max(0, second - 300) if second < 560 else 0
        flying = 120 if 560 <= second < 580 else away // 40
        yield Sample(now_ms - KEPT_MS + second * 1000 + 1, 0, away + (second > 860) * 18, flying, 0)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_picture_is_taken_and_shows_something(shop: Page, view: View) -> None:
    shop.resize(view.width, 900)
    shop.prefer(view.scheme)
    eventually(lambda: int(shop.attribute("#chart svg", "width")) < view.width)

    picture = shop.picture(view.height)

    assert size_of(picture) == (view.width, view.height)
    assert different_lines(picture) > view.height / 4
    assert shop.run("return document.documentElement.scrollWidth") == view.width
    if directory := os.environ.get("SCREENSHOTS"):
        Path(directory).mkdir(exist_ok=True)
        (Path(directory) / f"{view.name}.png").write_bytes(picture)


def test_an_empty_picture_is_told_from_one_that_shows_something() -> None:
    width, height = 90, 40
    lines = (b"\0" + b"\xff\xff\xff" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    empty = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines))

    assert size_of(empty) == (width, height)
    assert different_lines(empty) == 1


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def chunks_of(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Take a PNG apart (ISO/IEC 15948, section 5)."""
    assert picture.startswith(SIGNATURE)
    place = len(SIGNATURE)
    while place < len(picture):
        (length,) = struct.unpack_from(">I", picture, place)
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        place += length + 12


def size_of(picture: bytes) -> tuple[int, int]:
    ((_, header), *_) = chunks_of(picture)
    width, height = struct.unpack_from(">II", header)
    return width, height


def different_lines(picture: bytes) -> int:
    """Count the lines that are not like another one, as they are filtered; an empty one has few."""
    content = zlib.decompress(
        b"".join(data for kind, data in chunks_of(picture) if kind == b"IDAT")
    )
    _, height = size_of(picture)
    length = len(content) // height
    return len({content[start : start + length] for start in range(0, len(content), length)})
