"""Where a dashboard listens is read from text and bound, or refused with a way out."""

from __future__ import annotations

import socket

import pytest

from softadastra import InvalidArgumentError, TransportError
from softadastra.dashboard.addresses import Address, is_loopback


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8765", "127.0.0.1", 8765),
        ("[::1]:0", "::1", 0),
        ("localhost:1", "localhost", 1),
    ],
)
def test_an_address_is_read_and_written(text: str, host: str, port: int) -> None:
    address = Address.parse(text)

    assert (address.host, address.port) == (host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["8765", ":8765", "::1:8765", "[127.0.0.1]:1", "host:", "host:http", "host:65536", "a b:1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Address.parse(text)


def test_a_port_that_is_taken_is_told() -> None:
    with Address("127.0.0.1", 0).bind() as taken:
        port = taken.getsockname()[1]

        with pytest.raises(TransportError, match=f"127.0.0.1:{port}.*already: choose another port"):
            Address("127.0.0.1", port).bind()


def test_who_reaches_it_is_told_by_what_is_bound() -> None:
    for host, expected in (("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)):
        with Address(host, 0).bind() as listener:
            assert is_loopback(listener) is expected


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_ipv6_is_bound() -> None:
    with Address("::1", 0).bind() as listener:
        assert is_loopback(listener)
