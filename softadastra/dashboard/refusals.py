"""Why a request is not done, as the one who sent it is told."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from softadastra.errors import (
    InvalidArgumentError,
    InvalidStateError,
    NotFoundError,
    SoftadastraError,
)

__all__ = ["Reason", "RefusedError", "refusal_of"]


class Reason(StrEnum):
    """What is wrong with a request, as a stable string."""

    FOREIGN_HOST = "foreign_host"
    FOREIGN_ORIGIN = "foreign_origin"
    UNAUTHORIZED = "unauthorized"
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CHANGED = "changed"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    FAULT = "fault"


STATUSES: Final = {
    Reason.FOREIGN_HOST: 421,
    Reason.FOREIGN_ORIGIN: 403,
    Reason.UNAUTHORIZED: 401,
    Reason.NOT_JSON: 415,
    Reason.TOO_LARGE: 413,
    Reason.TOO_SLOW: 408,
    Reason.INVALID: 400,
    Reason.NOT_FOUND: 404,
    Reason.CHANGED: 409,
    Reason.BUSY: 503,
    Reason.UNAVAILABLE: 503,
    Reason.FAULT: 500,
}
"""The status code of HTTP for each (RFC 9110, section 15)."""


class RefusedError(Exception):
    """A request is not done; nothing has changed.

    Args:
        reason: the kind.
        words: what was wrong, and what was expected.
    """

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words

    @property
    def status(self) -> int:
        """The status code that tells it."""
        return STATUSES[self.reason]


def refusal_of(error: SoftadastraError) -> RefusedError:
    """Say what an error of the node means to who asked."""
    match error:
        case NotFoundError():
            reason = Reason.NOT_FOUND
        case InvalidArgumentError():
            reason = Reason.INVALID
        case InvalidStateError() if "key" in error.context:
            reason = Reason.CHANGED
        case _:
            reason = Reason.UNAVAILABLE
    return RefusedError(reason, error.message)
