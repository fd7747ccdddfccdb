"""The JSON that a change is asked for with, up to a limit of size and time."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from starlette.requests import ClientDisconnect, Request

from softadastra.dashboard.refusals import Reason, RefusedError

__all__ = ["BODY_BYTES_MAX", "json_body", "text_field", "texts_field"]

BODY_BYTES_MAX: Final = 1024 * 1024
"""A value that somebody typed; larger ones are stored by a program, or by `softadastra store`."""

BODY_SECONDS_MAX: Final = 10.0
"""For a body to arrive: of the largest, 100 KiB a second."""


async def json_body(request: Request) -> dict[str, object]:
    """Read the body of a request, which is a JSON object.

    Raises:
        RefusedError: it is something else, or too large, or does not come.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(Reason.NOT_JSON, "expected a body of the type application/json")
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            content = await _content(request)
    except TimeoutError:
        raise RefusedError(
            Reason.TOO_SLOW, f"the body did not arrive within {BODY_SECONDS_MAX:g} s"
        ) from None
    except ClientDisconnect:
        raise RefusedError(Reason.INVALID, "the body ended before its end") from None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise RefusedError(Reason.INVALID, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise RefusedError(Reason.INVALID, "expected a JSON object")
    return document


async def _content(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_BYTES_MAX:
            raise RefusedError(Reason.TOO_LARGE, f"a request has at most {BODY_BYTES_MAX:,} bytes")
    return bytes(content)


def text_field(document: dict[str, object], name: str) -> str:
    """Give a field that has to be a text.

    Raises:
        RefusedError: it is absent, or no text that is valid Unicode.
    """
    (found,) = texts_field({name: [document.get(name)]}, name)
    return found


def texts_field(document: dict[str, object], name: str) -> list[str]:
    """Give a field that has to be a list of texts.

    Raises:
        RefusedError: it is absent, or something else.
    """
    found = document.get(name)
    texts = [each for each in found if _is_text(each)] if isinstance(found, list) else None
    if texts is None or len(texts) != len(found if isinstance(found, list) else ()):
        raise RefusedError(Reason.INVALID, f"the field {name!r} is missing, or no text")
    return texts


def _is_text(value: object) -> bool:
    """Whether it is a text without halves of characters, which JSON can spell."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
