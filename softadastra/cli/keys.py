"""`softadastra keys`: this node's key pair, and the keys that it trusts.

None of these commands opens the write-ahead log, so they work beside a running node, which sees a
changed list within a second.
"""

from __future__ import annotations

import shlex
from contextlib import suppress

import click

from softadastra.cli.command import Command, Group, Lazy, RequiredArgument
from softadastra.cli.documents import Document
from softadastra.cli.invocation import Invocation
from softadastra.cli.reaching import load_options
from softadastra.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from softadastra.networking import make_keys
from softadastra.options import ClientOptions
from softadastra.security.key_file import KeyFile
from softadastra.security.keys import PublicKey
from softadastra.security.trust_file import TrustFile

__all__ = ["init", "keys", "list_trusted", "revoke", "show", "trust"]

keys = Group(
    "keys",
    help="Look after this node's keys, and those that it trusts.",
    lazy={
        "init": Lazy("softadastra.cli.keys:init", "Make this node's key pair."),
        "show": Lazy("softadastra.cli.keys:show", "Show this node's public key."),
        "trust": Lazy("softadastra.cli.keys:trust", "Let in another node, by its public key."),
        "list": Lazy("softadastra.cli.keys:list_trusted", "Show which nodes are let in."),
        "revoke": Lazy("softadastra.cli.keys:revoke", "Let in a node no more."),
        "pair": Lazy(
            "softadastra.cli.pair:pair", "Exchange keys with another node, and compare a code."
        ),
    },
)


@click.command("init", cls=Command)
@click.pass_obj
def init(invocation: Invocation) -> None:
    """Make this node's key pair.

    A node with --security curve makes it by itself when it first starts; this is for telling
    others its public key before. A key pair that is there is left as it is.
    """
    options = _options(invocation)
    try:
        pair = make_keys(options)
    except AlreadyExistsError as error:
        error.add_note("To see its public key: softadastra keys show")
        raise
    _show_own(invocation, options, pair.public)


@click.command("show", cls=Command)
@click.option("--raw", is_flag=True, help="Print the public key alone.")
@click.pass_obj
def show(invocation: Invocation, *, raw: bool) -> None:
    """Show this node's public key.

    Others have to trust it before they let this node in. The secret key is never shown. Exits with
    3 when there is no key pair yet.
    """
    if raw and invocation.json:
        raise click.UsageError("Choose one of --raw and --json.")
    options = _options(invocation)
    public = KeyFile(options.resolved_key_path()).load().public
    if raw:
        invocation.output.line(str(public))
    else:
        _show_own(invocation, options, public)


@click.command("trust", cls=Command)
@click.argument("name", cls=RequiredArgument, missing="Missing name argument.")
@click.argument("key", cls=RequiredArgument, missing="Missing key argument.")
@click.pass_obj
def trust(invocation: Invocation, *, name: str, key: str) -> None:
    """Let in another node, by its public key.

    NAME is its node id, KEY what `keys show` prints there. The key has to come by a way on which
    nobody can change it; `keys pair` needs none. A name that is pinned to another key is refused:
    somebody else may have taken it.
    """
    options = _options(invocation)
    public = PublicKey.parse(key)
    if name == options.node_id:
        raise InvalidArgumentError(
            f"{name!r} is this node itself: expected the name of another one", node_id=name
        )
    with suppress(NotFoundError):
        if KeyFile(options.resolved_key_path()).load().public == public:
            raise InvalidArgumentError(
                f"{public.fingerprint} is the key of this node itself: expected that of {name!r},"
                " as softadastra keys show prints it there",
                node_id=name,
            )
    file = TrustFile(options.resolved_trust_path())
    if not file.trust(name, public):
        invocation.output.note(f"{name} was trusted already.")
    _show_trusted(invocation, file, name, public)


@click.command("list", cls=Command)
@click.pass_obj
def list_trusted(invocation: Invocation) -> None:
    """Show which nodes are let in."""
    file = TrustFile(_options(invocation).resolved_trust_path())
    trusted = sorted(file.load().by_node.items())
    if invocation.json:
        documents = [_key_document(node_id, key) for node_id, key in trusted]
        invocation.output.document({"trusted": documents, "path": str(file.path)})
    elif trusted:
        invocation.output.table(
            "Trusted keys",
            ("Node", "Fingerprint", "Public key"),
            ((node_id, key.fingerprint, key) for node_id, key in trusted),
        )
    else:
        invocation.output.line("No trusted keys.")


@click.command("revoke", cls=Command)
@click.argument("name", cls=RequiredArgument, missing="Missing name argument.")
@click.pass_obj
def revoke(invocation: Invocation, *, name: str) -> None:
    """Let in a node no more.

    A running node cuts it off within a second. What it has got stays there. Exits with 3 when it
    was not trusted.
    """
    file = TrustFile(_options(invocation).resolved_trust_path())
    key = file.revoke(name)
    if invocation.json:
        invocation.output.document({"revoked": _key_document(name, key), "path": str(file.path)})
    else:
        invocation.output.line(f"Revoked {name}, key {key.fingerprint}.")


def _options(invocation: Invocation) -> ClientOptions:
    """Read the settings, and check them: the files are named by the node."""
    options = load_options(invocation, security="curve")
    options.validate()
    return options


def _key_document(node_id: str, key: PublicKey) -> Document:
    return {"node_id": node_id, "public_key": str(key), "fingerprint": key.fingerprint}


def _show_own(invocation: Invocation, options: ClientOptions, key: PublicKey) -> None:
    path = str(options.resolved_key_path())
    if invocation.json:
        document = _key_document(options.node_id, key)
        invocation.output.document({"key": document, "path": path})
        return
    invocation.output.table(
        "Node key",
        ("Field", "Value"),
        (
            ("node_id", options.node_id),
            ("public_key", key),
            ("fingerprint", key.fingerprint),
            ("key_file", path),
        ),
    )
    name = shlex.quote(options.node_id)
    invocation.output.note(
        f"On the other nodes: softadastra keys trust {name} {key}", is_folded=False
    )


def _show_trusted(invocation: Invocation, file: TrustFile, node_id: str, key: PublicKey) -> None:
    if invocation.json:
        document = _key_document(node_id, key)
        invocation.output.document({"trusted": document, "path": str(file.path)})
    else:
        invocation.output.line(f"Trusted {node_id}, key {key.fingerprint}.")
