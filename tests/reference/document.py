"""The blocks of docs/api.md that are made from the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from softadastra.errors import SoftadastraError

from .described import described, error_table
from .names import errors, public_names

__all__ = ["DOCUMENT", "completed", "names_in", "rewritten"]

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK: Final = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)
ERRORS: Final = "errors"
"""The block that has all errors but the root, whose attributes have a block of their own."""


def names_in(text: str) -> list[str]:
    """Give the names that have a block, in their order."""
    found = [match[2] for match in BLOCK.finditer(text)]
    in_table = [error.__name__ for error in errors() if error is not SoftadastraError]
    return [each for name in found for each in (in_table if name == ERRORS else [name])]


def rewritten(text: str) -> str:
    """Give the document with its blocks made anew; one of a name that is gone stays as it is."""
    names = public_names()

    def made(match: re.Match[str]) -> str:
        opening, name, old, closing = match.groups()
        if name == ERRORS:
            new = f"{error_table(errors())}\n"
        else:
            new = f"{described(name, names[name])}\n" if name in names else old
        return f"{opening}{new}{closing}"

    return BLOCK.sub(made, text)


def completed(text: str) -> str:
    """Give the document with empty blocks at its end for names that have none."""
    documented = set(names_in(text))
    missing = [name for name in public_names() if name not in documented]
    return text + "".join(
        f"\n### {name}\n\n<!-- made: {name} -->\n<!-- end -->\n" for name in missing
    )
