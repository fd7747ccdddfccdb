"""What only the source knows: the docstrings of fields, annotations as they stand there."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

from .docstrings import one_line

__all__ = ["Annotated", "alias_of", "attributes_of", "fields_of"]


class Annotated(NamedTuple):
    """A field, or an alias at the top of a module."""

    name: str
    annotation: str
    value: str
    """What stands behind the equals sign; empty when nothing does."""
    words: str
    """Of the docstring below it."""


@cache
def module_of(name: str) -> ast.Module:
    return ast.parse(inspect.getsource(import_module(name)))


def alias_of(module: str, name: str) -> Annotated:
    """Give what is said of a name at the top of a module."""
    (found,) = (each for each in annotated(module_of(module).body) if each.name == name)
    return found


def fields_of(kind: type) -> dict[str, Annotated]:
    """Give the annotated names of a class and of its bases here; of an enum, its members."""
    found: dict[str, Annotated] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("softadastra"):
            defined = class_of(each)
            found |= {field.name: field for field in annotated(defined.body)}
    return found


def attributes_of(kind: type) -> dict[str, Annotated]:
    """Give the public attributes of a class that is no value, also those of its instances."""
    found = fields_of(kind)
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("softadastra"):
            for statement in class_of(each).body:
                if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                    found |= {field.name: field for field in annotated(statement.body)}
    return {name: field for name, field in found.items() if not name.startswith("_")}


def class_of(kind: type) -> ast.ClassDef:
    (found,) = (
        node
        for node in ast.walk(module_of(kind.__module__))
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    return found


def annotated(body: Sequence[ast.stmt]) -> list[Annotated]:
    found = []
    for statement, after in zip(body, [*body[1:], None], strict=True):
        match statement:
            case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value):
                kind = ast.unparse(without_metadata(annotation))
            case ast.AnnAssign(
                target=ast.Attribute(ast.Name("self"), name), annotation=annotation, value=value
            ):
                kind = ast.unparse(annotation)
            case ast.Assign(
                targets=[ast.Name(name) | ast.Attribute(ast.Name("self"), name)], value=value
            ):
                kind = ""
            case _:
                continue
        match value:
            case None:
                text = ""
            case ast.Constant(str(text)) if kind == "TypeAlias":
                pass
            case _:
                text = ast.unparse(value)
        match after:
            case ast.Expr(ast.Constant(str(words))):
                words = one_line(words)
            case _:
                words = ""
        found.append(Annotated(name, kind, text, words))
    return found


def without_metadata(annotation: ast.expr) -> ast.expr:
    match annotation:
        case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple([kind, *_])):
            return kind
        case _:
            return annotation
