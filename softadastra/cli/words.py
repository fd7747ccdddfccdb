r"""The words of a line that is typed, as a shell reads them: quotes, and backslashes.

A word is what stands between blanks. Within single quotes everything is itself; within double
quotes a backslash takes away the meaning of " and \; elsewhere of any character.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from softadastra.errors import InvalidArgumentError

__all__ = ["Unfinished", "completed", "split_line", "unfinished"]


class Unfinished(NamedTuple):
    """A line up to where it is typed."""

    words: list[str]
    """Those that are finished."""
    begun: str
    """What the last one means so far."""
    start: int
    """Where that begins in the line."""
    quote: str
    """The quotation that is open: ' or ", or ""."""


def split_line(line: str) -> list[str]:
    """Give the words of a line.

    Raises:
        InvalidArgumentError: a quotation is not closed, or nothing is behind a backslash.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        what = str(error).lower()
        raise InvalidArgumentError(
            f"cannot read the line: {what}; put a backslash before a quote that is meant itself"
        ) from error


def unfinished(line: str) -> Unfinished:
    """Read a line of which the last word is still typed; with a blank at its end, that is empty."""
    words: list[str] = []
    begun, quote, start, is_escaped, is_word = "", "", len(line), False, False
    for place, character in enumerate(line):
        if not is_word and not character.isspace():
            is_word, start = True, place
        if is_escaped:
            if quote and character not in '\\"':
                begun += "\\"
            begun += character
            is_escaped = False
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                begun += character
        elif character in "'\"":
            quote = character
        elif not character.isspace():
            begun += character
        elif is_word:
            words.append(begun)
            begun, start, is_word = "", len(line), False
    return Unfinished(words, begun, start, quote)


def completed(word: str, quote: str) -> str:
    """Write a word so that it is read as one, in the quotation that was begun for it."""
    if quote == "'" and "'" not in word:
        return f"'{word}'"
    if quote == '"':
        return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'
    return word if re.fullmatch(r"[^\s'\"\\]+", word) else shlex.quote(word)
