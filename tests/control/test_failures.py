"""Errors come over a control socket as what they are."""

from __future__ import annotations

import msgpack
import pytest

from softadastra import errors
from softadastra.cli.exit_codes import exit_code_of
from softadastra.control.failures import failure_of, plain_failure
from softadastra.control.unreachable import NodeSilentError
from softadastra.errors import (
    NotFoundError,
    ProtocolError,
    SoftadastraError,
    StorageError,
    TransportError,
)

KINDS = [
    kind
    for kind in map(errors.__dict__.__getitem__, errors.__all__)
    if isinstance(kind, type) and issubclass(kind, SoftadastraError)
]


def sent(error: SoftadastraError) -> SoftadastraError:
    return failure_of(msgpack.unpackb(msgpack.packb(plain_failure(error))))


@pytest.mark.parametrize("kind", KINDS)
def test_class_message_context_and_exit_code_are_kept(kind: type[SoftadastraError]) -> None:
    error = kind("what was wrong", key="k", size=5, many=["a"], nothing=None, big=1 << 70)
    error.add_note("a hint")

    found = sent(error)

    assert type(found) is kind
    assert (found.code, found.message) == (error.code, error.message)
    assert found.context == {**error.context, "big": str(1 << 70)}
    assert found.__notes__ == ["a hint"]
    assert exit_code_of(found) == exit_code_of(error)


def test_a_refusal_of_the_system_keeps_its_number_and_its_file() -> None:
    found = sent(StorageError("full", errno=28, filename="data/a.wal"))

    assert isinstance(found, StorageError)
    assert (found.errno, found.filename) == (28, "data/a.wal")


def test_a_class_of_its_own_becomes_the_next_one_that_everybody_knows() -> None:
    assert type(sent(NodeSilentError("hangs", pid=5))) is TransportError


def test_an_unknown_class_is_told_with_its_name() -> None:
    found = failure_of(["QuotaError", "too much", {}, None, "", []])

    assert type(found) is SoftadastraError
    assert "too much" in found.message
    assert "QuotaError" in found.message


def test_a_name_that_is_no_error_makes_none() -> None:
    assert type(failure_of(["ErrorCode", "x", {}, None, "", []])) is SoftadastraError


@pytest.mark.parametrize(
    "plain", [None, [], ["NotFoundError"], ["NotFoundError", 1, {}, None, "", []]]
)
def test_what_is_no_error_is_refused(plain: object) -> None:
    with pytest.raises(ProtocolError):
        failure_of(plain)


def test_a_missing_key_reads_as_one() -> None:
    assert isinstance(sent(NotFoundError("key not found", key="k")), KeyError)
