"""A docstring, by its parts: what is said, and of which argument, result and error."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

__all__ = ["Docstring", "one_line", "read"]

SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Example|Examples):$", re.MULTILINE)


class Docstring(NamedTuple):
    """What it says, each on one line."""

    words: str
    arguments: dict[str, str]
    returns: str
    raises: dict[str, str]


def read(text: str | None) -> Docstring:
    """Take a docstring apart. Code in it is left out: it is for who reads the source."""
    first, *rest = SECTION.split(inspect.cleandoc(text or ""))
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    paragraphs = [each for each in first.split("\n\n") if not each.startswith("    ")]
    return Docstring(
        words=one_line(" ".join(paragraphs)),
        arguments=entries(sections.get("Args", "")),
        returns=one_line(sections.get("Returns", sections.get("Yields", ""))),
        raises=entries(sections.get("Raises", "")),
    )


def entries(section: str) -> dict[str, str]:
    """Read "name: words" whose words may go on in deeper lines."""
    parts = re.split(r"^    (?=\S)", section, flags=re.MULTILINE)[1:]
    return {name: one_line(words) for name, _, words in (each.partition(":") for each in parts)}


def one_line(text: str) -> str:
    """Give a text on one line, for Markdown: what looks like a tag is none."""
    return " ".join(text.split()).replace("<", "\\<")
