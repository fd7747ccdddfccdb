"""`softadastra sync explain`: why a key or a peer is not in step."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from softadastra.cli.command import Command, RequiredArgument
from softadastra.cli.documents import Document
from softadastra.cli.invocation import Invocation
from softadastra.cli.output import Output, printable
from softadastra.cli.reaching import reach_node
from softadastra.errors import NotFoundError

if TYPE_CHECKING:
    from softadastra import KeyExplanation, PeerExplanation
    from softadastra.control.operations import Operations

__all__ = ["explain"]


@click.command("explain", cls=Command)
@click.argument(
    "name",
    cls=RequiredArgument,
    metavar="KEY|PEER",
    missing="Missing key or peer argument.",
    empty="Key cannot be empty.",
    completes="key or peer",
)
@click.option("--key", "kind", flag_value="key", help="Explain the key of this name.")
@click.option("--peer", "kind", flag_value="peer", help="Explain the peer of this name.")
@click.pass_obj
def explain(invocation: Invocation, *, name: str, kind: str | None) -> None:
    """Say why a key or a peer is not in step.

    What is missing, since when, why, what happens next, and what you can do. A name of a peer that
    is a key too has to be told from it by --key or --peer; a name that is neither is taken for a
    key.
    """
    with reach_node(invocation, creates=False) as reached:
        found = _find(reached.node, name, kind)
    _show(invocation.output, found)


def _find(node: Operations, name: str, kind: str | None) -> KeyExplanation | PeerExplanation:
    if kind == "key":
        return node.explain_key(name)
    try:
        peer = node.explain_peer(name)
    except NotFoundError:
        if kind == "peer":
            raise
        return node.explain_key(name)
    if kind is None and node.explain_key(name).writes:
        raise click.UsageError(
            f"{name!r} is a peer and a key: say which one is meant, with --peer or --key."
        )
    return peer


def _show(output: Output, found: KeyExplanation | PeerExplanation) -> None:
    from softadastra.explanation import KeyExplanation

    is_key = isinstance(found, KeyExplanation)
    if output.as_json:
        output.document({"key" if is_key else "peer": _document(found)})
        return
    title = (
        f"Key {found.key}" if isinstance(found, KeyExplanation) else f"Peer {found.peer.node_id}"
    )
    output.title(title)
    for sentence in found.sentences:
        output.sentence(f"- {printable(sentence)}")
    if found.advice:
        output.line("")
        output.title("What to do")
        for advice in found.advice:
            output.sentence(f"- {printable(advice)}")


def _document(found: KeyExplanation | PeerExplanation) -> Document:
    """Give all that was found, each finding with its sentence."""
    document = dataclasses.asdict(found)
    for finding, sentence in zip(document["findings"], found.sentences, strict=True):
        finding["sentence"] = sentence
    return {**document, "advice": found.advice}
