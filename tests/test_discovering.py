"""Starting discovery: what it needs, and what is said when that is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from softadastra import Client, ClientOptions, DiscoveryError, InvalidStateError


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A node whose transport runs; its options may be given."""
    options: ClientOptions = getattr(request, "param", ClientOptions.memory_only("a"))
    with Client(options.with_discovery()) as client:
        client.start_transport()
        yield client


def test_discovery_that_the_options_do_not_allow_is_refused() -> None:
    with Client(ClientOptions.memory_only("a").with_local_transport()) as node:
        node.start_transport()

        with pytest.raises(DiscoveryError, match="disabled: set enable_discovery=True") as refusal:
            node.start_discovery()

        assert refusal.value.code == "discovery_error"
        assert not node.discovery_running


def test_discovery_needs_a_transport_that_runs() -> None:
    with Client(ClientOptions.memory_only("a").with_discovery()) as node:
        with pytest.raises(InvalidStateError, match=r"call start_transport\(\) first"):
            node.start_discovery()
        node.stop_discovery()

        assert not node.discovery_running


@pytest.mark.parametrize("package", ["zeroconf", "ifaddr"])
def test_a_missing_package_is_told_with_what_to_install(
    node: Client, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("softadastra.discovery.multi")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(DiscoveryError, match=rf"{package}.*pip install '\.\[discovery\]'"):
        node.start_discovery()

    assert not node.discovery_running
    assert node.transport_running
    assert node.put("k", 1).version == 1


@pytest.mark.parametrize("node", [ClientOptions.memory_only("a", cluster="c" * 248)], indirect=True)
def test_a_name_that_cannot_be_announced_is_told(node: Client) -> None:
    with pytest.raises(DiscoveryError, match=r"cluster 'cccc.* has 248 bytes"):
        node.start_discovery()


def test_zeroconf_is_imported_by_the_start_of_discovery_and_by_nothing_else() -> None:
    code = (
        "import sys\n"
        "from softadastra import Client, ClientOptions\n"
        "with Client(ClientOptions.memory_only('a').with_discovery()) as node:\n"
        "    node.start_transport()\n"
        "    print(sorted({'zeroconf', 'ifaddr', 'asyncio'} & sys.modules.keys()))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
