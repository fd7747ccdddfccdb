"""The one thing that the page changes: a conflict is settled, by what somebody has looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from softadastra.client import Client
from softadastra.dashboard.bodies import text_field, texts_field
from softadastra.dashboard.documents import Document
from softadastra.dashboard.listing import find_conflict
from softadastra.dashboard.refusals import Reason, RefusedError
from softadastra.tagged_json import parse_json
from softadastra.types import Conflict, ConflictingValue, Value

__all__ = ["Settlement", "settle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What somebody has chosen for a key.

    Either `keep` is the sync id of one of the values, or `value` is what was typed.
    """

    key: str
    seen: Sequence[str]
    """The sync ids of all values that were looked at."""
    keep: str | None
    value: Value

    @classmethod
    def parse(cls, document: dict[str, object]) -> Self:
        """Read what the page sends: key, seen, and keep, or text with its kind.

        Raises:
            RefusedError: it is something else.
            InvalidArgumentError: what was typed as JSON is none.
        """
        key, seen = text_field(document, "key"), texts_field(document, "seen")
        if "keep" in document:
            return cls(key=key, seen=seen, keep=text_field(document, "keep"), value=None)
        text, kind = text_field(document, "text"), text_field(document, "kind")
        if kind not in ("text", "json"):
            raise RefusedError(Reason.INVALID, "the kind of what was typed is 'text' or 'json'")
        value = parse_json(text) if kind == "json" else text
        return cls(key=key, seen=seen, keep=None, value=value)


def settle(client: Client, settlement: Settlement) -> Document:
    """Settle a conflict, unless it is another one by now.

    Raises:
        RefusedError: it has other values than were looked at; nothing has changed.
        NotFoundError: the key has no conflict any more.
        InvalidStateError, InvalidArgumentError, StorageError: as `Client.resolve` and `remove`.
    """
    conflict = find_conflict(client, settlement.key)
    if {each.sync_id for each in conflict.values} != set(settlement.seen):
        raise RefusedError(
            Reason.CHANGED, "the key has other values by now: look at them and choose again"
        )
    value = settlement.value
    if settlement.keep is not None:
        kept = _kept(conflict, settlement.keep)
        if kept.is_removed:
            client.remove(settlement.key, seen=settlement.seen)
            return {"key": settlement.key, "sync_id": None}
        value = kept.value
    result = client.resolve(settlement.key, value, seen=settlement.seen)
    return {"key": settlement.key, "sync_id": result.sync_id}


def _kept(conflict: Conflict, sync_id: str) -> ConflictingValue:
    for each in conflict.values:
        if each.sync_id == sync_id:
            return each
    raise RefusedError(Reason.INVALID, "the value to keep is none of those that were looked at")
