"""Errors over the control socket: the same class with the same message comes out at the other end.

    error   [class, message, context, errno, filename, notes]

A class that is unknown here, as of a newer version, becomes a `SoftadastraError` that says so.
"""

from __future__ import annotations

from typing import Any

from softadastra import errors
from softadastra.errors import ProtocolError, SoftadastraError, StorageError

__all__ = ["failure_of", "plain_failure"]

_INTEGER_LIMIT = 1 << 63


def plain_failure(error: SoftadastraError) -> list[object]:
    """Make what MessagePack carries of an error."""
    kind = next(each for each in type(error).__mro__ if each.__name__ in errors.__all__)
    number, filename = None, ""
    if isinstance(error, StorageError):
        number, filename = error.errno, str(error.filename)
    context = {str(name): _plain(value) for name, value in error.context.items()}
    notes = list(getattr(error, "__notes__", ()))
    return [kind.__name__, error.message, context, number, filename, notes]


def failure_of(plain: object) -> SoftadastraError:
    """Undo `plain_failure`.

    Raises:
        ProtocolError: it is no error.
    """
    match plain:
        case [
            str(name),
            str(message),
            dict(context),
            int() | None as number,
            str(filename),
            list(notes),
        ]:
            error = _made(name, message, context, number, filename)
            for note in notes:
                error.add_note(str(note))
            return error
        case _:
            raise ProtocolError(f"the control socket gave {plain!r:.80}: expected an error")


def _made(
    name: str, message: str, context: dict[Any, object], number: int | None, filename: str
) -> SoftadastraError:
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    fields = {str(key): value for key, value in context.items()}
    error: SoftadastraError
    if kind is StorageError:
        error = StorageError(message, errno=number, filename=filename)
    elif isinstance(kind, type) and issubclass(kind, SoftadastraError):
        error = kind(message)
    else:
        error = SoftadastraError(f"{message} ({name}, which this version does not know)")
    error.context.update(fields)
    return error


def _plain(value: object) -> object:
    match value:
        case None | bool() | float() | str() | bytes():
            return value
        case int() if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            return value
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return str(value)
