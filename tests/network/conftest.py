"""What the tests in namespaces start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.network.namespaces import Network, lan


@pytest.fixture
def network() -> Iterator[Network]:
    """Make a network without hosts, that goes with the test."""
    with lan() as network:
        yield network
