"""Values of the public API as plain MessagePack, and back, by their types.

A dataclass or named tuple is a map of its fields; the place of a change is its text. A field that
is unknown here is left out, since a newer version may have it; one that is missing must have a
default. Everything else has to be of the type that is expected: what comes over a socket is checked
before it is believed.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from softadastra.errors import ProtocolError
from softadastra.packing import pack_value
from softadastra.store.values import check_packed_value, unpack_value
from softadastra.types import Located

__all__ = ["STORED_BYTES_MAX", "Stored", "from_plain", "to_plain"]

STORED_BYTES_MAX = 1024 * 1024
"""The largest value that any node stores; the node's own limit is for it to say."""


class Stored:
    """The shape of a value that a store holds: it travels as the bytes that the store keeps."""


@dataclasses.dataclass(frozen=True, slots=True)
class _At:
    """Where a change was found at another node, by its text."""

    position: str


def to_plain(shape: object, value: Any) -> Any:
    """Make what MessagePack carries of a value of this type."""
    if shape is Located:
        return value.position
    if shape is Stored:
        return pack_value(value, STORED_BYTES_MAX)
    if isinstance(shape, types.UnionType) or get_origin(shape) is Union:
        return None if value is None else to_plain(_present(shape, value), value)
    if isinstance(value, Enum):
        return value.value
    fields = _fields_of(shape)
    if fields is not None:
        return {name: to_plain(each, getattr(value, name)) for name, (each, _) in fields.items()}
    match get_origin(shape), get_args(shape):
        case (origin, (element, *_)) if origin in (list, frozenset) or _is_row(shape):
            return [to_plain(element, each) for each in value]
        case (origin, elements) if origin is tuple:
            pairs = zip(elements, value, strict=True)
            return [to_plain(element, each) for element, each in pairs]
        case (origin, (_, element)) if origin is Mapping:
            return {name: to_plain(element, each) for name, each in value.items()}
        case _:
            return value


def from_plain(shape: object, plain: Any) -> Any:
    """Undo `to_plain`.

    Raises:
        ProtocolError: it is not of this type.
    """
    if shape is Located:
        _expect(isinstance(plain, str), "a position", plain)
        return _At(plain)
    if shape is Stored:
        _expect(isinstance(plain, bytes), "a packed value", plain)
        check_packed_value(plain)
        return unpack_value(plain)
    if isinstance(shape, types.UnionType) or get_origin(shape) is Union:
        return _from_union(shape, plain)
    if isinstance(shape, type) and issubclass(shape, Enum):
        try:
            return shape(plain)
        except ValueError:
            raise _unexpected(shape.__name__, plain) from None
    fields = _fields_of(shape)
    if fields is not None:
        return _from_fields(shape, fields, plain)
    return _from_generic(shape, plain)


def _from_generic(shape: object, plain: Any) -> Any:
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Literal:
        _expect(plain in arguments, f"one of {arguments}", plain)
        return plain
    if origin is Mapping:
        _expect(isinstance(plain, dict), "a map", plain)
        return {
            from_plain(arguments[0], name): from_plain(arguments[1], each)
            for name, each in plain.items()
        }
    if origin in (list, frozenset, tuple):
        _expect(isinstance(plain, list), "an array", plain)
        if origin is tuple and not _is_row(shape):
            _expect(len(plain) == len(arguments), f"{len(arguments)} elements", plain)
            return tuple(map(from_plain, arguments, plain))
        assert isinstance(origin, type)
        return origin(from_plain(arguments[0], each) for each in plain)
    if shape is float and type(plain) is int:
        return float(plain)
    if shape is type(None) or shape is None:
        _expect(plain is None, "nothing", plain)
        return None
    assert isinstance(shape, type), f"no shape: {shape!r}"
    _expect(type(plain) is shape, shape.__name__, plain)
    return plain


def _from_union(shape: object, plain: Any) -> Any:
    for member in get_args(shape):
        try:
            return from_plain(member, plain)
        except ProtocolError:
            continue
    raise _unexpected(str(shape), plain)


def _from_fields(shape: object, fields: Mapping[str, tuple[object, bool]], plain: Any) -> Any:
    assert isinstance(shape, type)
    _expect(isinstance(plain, dict), f"the fields of {shape.__name__}", plain)
    found = {}
    for name, (field_shape, has_default) in fields.items():
        if name in plain:
            found[name] = from_plain(field_shape, plain[name])
        elif not has_default:
            raise _unexpected(f"the field {name} of {shape.__name__}", plain)
    return shape(**found)


def _present(shape: object, value: object) -> object:
    """Choose the member of a union that a value is of."""
    members = [each for each in get_args(shape) if each is not type(None)]
    if len(members) == 1:
        return members[0]
    for member in members:
        kind = get_origin(member) or member
        if isinstance(kind, type) and isinstance(value, kind):
            return member
    return type(value)


def _is_row(shape: object) -> bool:
    """Whether it is `tuple[T, ...]`."""
    return get_origin(shape) is tuple and get_args(shape)[1:] == (...,)


@functools.cache
def _fields_of(shape: Any) -> Mapping[str, tuple[object, bool]] | None:
    """Give the shape of each field, and whether it has a default; None: there are no fields."""
    if dataclasses.is_dataclass(shape):
        hints = get_type_hints(shape, localns={"Value": Stored})
        missing = dataclasses.MISSING
        return {
            field.name: (
                hints[field.name],
                (field.default, field.default_factory) != (missing,) * 2,
            )
            for field in dataclasses.fields(shape)
        }
    if hasattr(shape, "_field_defaults"):
        hints = get_type_hints(shape)
        return {name: (hints[name], name in shape._field_defaults) for name in shape._fields}
    return None


def _expect(condition: bool, expected: str, found: object) -> None:
    if not condition:
        raise _unexpected(expected, found)


def _unexpected(expected: str, found: object) -> ProtocolError:
    return ProtocolError(f"the control socket gave {found!r:.80}: expected {expected}")
