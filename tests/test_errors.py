"""The exception tree: its codes, its second bases, and what each error carries."""

from __future__ import annotations

import copy
import errno
import pickle

import pytest

from softadastra import errors
from softadastra.errors import (
    ErrorCode,
    InvalidArgumentError,
    NotFoundError,
    SoftadastraError,
    StorageError,
    StoreError,
    StoreLockedError,
    WalCorruptionError,
)

TREE = [
    ("SoftadastraError", "unknown", Exception),
    ("InvalidArgumentError", "invalid_argument", ValueError),
    ("InvalidStateError", "invalid_state", RuntimeError),
    ("NotFoundError", "not_found", KeyError),
    ("AlreadyExistsError", "already_exists", SoftadastraError),
    ("StorageError", "io_error", OSError),
    ("StoreError", "store_error", SoftadastraError),
    ("StoreLockedError", "store_error", StoreError),
    ("WalCorruptionError", "store_error", StoreError),
    ("WatchOverflowError", "store_error", StoreError),
    ("PositionLostError", "store_error", StoreError),
    ("SyncError", "sync_error", SoftadastraError),
    ("ProtocolError", "sync_error", errors.SyncError),
    ("OtherProtocolError", "sync_error", errors.ProtocolError),
    ("TransportError", "transport_error", ConnectionError),
    ("DiscoveryError", "discovery_error", SoftadastraError),
    ("MetadataError", "metadata_error", SoftadastraError),
    ("InternalError", "internal_error", RuntimeError),
]


@pytest.mark.parametrize(("name", "code", "base"), TREE)
def test_each_error_has_its_code_and_bases(name: str, code: str, base: type[BaseException]) -> None:
    error = getattr(errors, name)("what was wrong")

    assert isinstance(error, SoftadastraError)
    assert isinstance(error, base)
    assert code == error.code


def test_the_tree_is_complete() -> None:
    assert {name for name, _, _ in TREE} | {"ErrorCode"} == set(errors.__all__)


def test_every_code_is_used_by_an_error() -> None:
    assert {code for _, code, _ in TREE} == set(ErrorCode)


@pytest.mark.parametrize("name", [name for name, _, _ in TREE])
def test_an_error_carries_its_message_and_context(name: str) -> None:
    error = getattr(errors, name)("the 'key' is bad", key="a", size_bytes=3)

    assert error.message == "the 'key' is bad"
    assert error.context == {"key": "a", "size_bytes": 3}


@pytest.mark.parametrize("name", [name for name, _, _ in TREE])
def test_the_text_of_an_error_is_its_message(name: str) -> None:
    """KeyError alone would put quotes around it, and OSError an errno before it."""
    assert str(getattr(errors, name)("the 'key' is bad")) == "the 'key' is bad"


def test_a_storage_error_says_which_file_and_why() -> None:
    error = StorageError("no space left", errno=errno.ENOSPC, filename="a.wal", size_bytes=9)

    assert (error.errno, error.filename) == (errno.ENOSPC, "a.wal")
    assert error.context == {"size_bytes": 9}


def test_a_storage_error_without_a_system_error_has_no_errno() -> None:
    assert StorageError("short write").errno is None


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_that_crosses_processes_is_the_same_there(again) -> None:
    """As a pool of processes brings it to who asked."""
    error = again(StorageError("full", errno=errno.ENOSPC, filename="a.wal", size_bytes=9))

    assert (type(error), error.message, str(error)) == (StorageError, "full", "full")
    assert (error.errno, error.filename) == (errno.ENOSPC, "a.wal")
    assert error.context == {"size_bytes": 9}


def test_a_missing_key_is_caught_as_the_mapping_protocol_expects() -> None:
    with pytest.raises(KeyError) as caught:
        raise NotFoundError("key not found: 'a'", key="a")

    assert str(caught.value) == "key not found: 'a'"


@pytest.mark.parametrize("error", [StoreLockedError, WalCorruptionError])
def test_errors_of_the_log_are_not_errors_of_arguments(error: type[StoreError]) -> None:
    """A program that handles bad input must not take damage for it."""
    assert not issubclass(error, InvalidArgumentError | ValueError | OSError)
