"""`softadastra keys pair`: two people, two terminals, two minutes.

A person has to look: where standard input is no terminal it is refused, so that no script trusts
what nobody has compared.
"""

from __future__ import annotations

import os
import select
import sys

import click

from softadastra.cli.command import Command
from softadastra.cli.documents import Document
from softadastra.cli.invocation import Invocation
from softadastra.cli.numbers import Number
from softadastra.cli.output import tell
from softadastra.cli.reaching import load_options
from softadastra.errors import InvalidArgumentError, InvalidStateError
from softadastra.pairing import Meeting
from softadastra.pairing import pair as pair_with
from softadastra.security.exchange import Party, Role
from softadastra.security.window import WINDOW_SECONDS_MAX, shown_name
from softadastra.types import Peer

__all__ = ["pair"]

LINE_BYTES_MAX = 4096
"""A terminal gives no longer lines."""


@click.command("pair", cls=Command)
@click.argument("address", required=False, metavar="[HOST:PORT]")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="0.0.0.0",  # noqa: S104  for two minutes, to be met by another machine
    show_default=True,
    help="Wait at this address.",
)
@click.option(
    "--port",
    type=Number(int, 0, 65535),
    metavar="PORT",
    default=0,
    help="Wait at this port (default: a free one).",
)
@click.option(
    "--window",
    "window_s",
    type=Number(float, 1, WINDOW_SECONDS_MAX),
    default=WINDOW_SECONDS_MAX,
    show_default=True,
    metavar="SECONDS",
    help="Close the window after this time.",
)
@click.pass_obj
def pair(
    invocation: Invocation, *, address: str | None, host: str, port: int, window_s: float
) -> None:
    """Exchange keys with another node, and compare a code.

    Run it on both nodes at the same time: on one without an argument, which says where it waits,
    and on the other with that HOST:PORT. Both show the same code of six digits, unless somebody is
    in between. Each person types the code that the other node shows; then both nodes trust each
    other, also those that are running. Exits with 124 when the window closes before that.
    """
    if not _is_terminal():
        raise InvalidStateError(
            "pairing needs a person who compares two codes, and standard input is no terminal: run"
            " it in one, or exchange the keys with softadastra keys show and trust"
        )
    options = load_options(invocation, security="curve")
    options.validate()
    meeting = _meeting(address, host=host, port=port, seconds=window_s)
    person = _AtTerminal(meeting)
    paired = pair_with(options, meeting, person)
    other = paired.other
    if not paired.is_mutual:
        tell(
            f"It is not known whether {other.node_id} trusts this node: see softadastra keys list"
            " there, and pair again if it does not"
        )
    if invocation.json:
        document: Document = {"node_id": other.node_id, "public_key": str(other.key)}
        document |= {"fingerprint": other.key.fingerprint, "is_mutual": paired.is_mutual}
        invocation.output.document({"paired": document})
    else:
        invocation.output.line(f"Paired with {other.node_id}, key {other.key.fingerprint}.")


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _meeting(address: str | None, *, host: str, port: int, seconds: float) -> Meeting:
    if address is None:
        return Meeting(role=Role.LISTENER, host=host, port=port, seconds=seconds)
    try:
        peer = Peer.parse(f"node@{address}")
    except InvalidArgumentError as error:
        raise click.UsageError(
            f"Cannot read {address!r}: expected HOST:PORT, as the other node's window shows it."
        ) from error
    return Meeting(role=Role.DIALLER, host=peer.host, port=peer.port, seconds=seconds)


class _AtTerminal:
    """The person at this terminal: what is told goes to standard error.

    Lines are read from the descriptor itself, since what Python has buffered would not show up in
    `select`. A terminal gives one line at a time.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._me: Party | None = None
        self._is_gone = False

    def opened(self, me: Party, port: int) -> None:
        """Say where the window is."""
        self._me = me
        meeting = self._meeting
        tell(f"Pairing of node {me.node_id}, for {meeting.seconds:g} seconds. Ctrl+C ends it.")
        if meeting.role is Role.LISTENER:
            shown = "ADDRESS" if _is_any(meeting.host) else meeting.host
            tell(f"Waiting at {meeting.host}:{port}. On the other node:")
            tell(f"  softadastra keys pair {shown}:{port}")

    def shown(self, other: Party, code: str) -> None:
        """Show who asks, and the code."""
        assert self._me is not None
        tell("")
        tell(f"  this node   {self._me.key.fingerprint}  {self._me.node_id}")
        tell(f"  other node  {other.key.fingerprint}  {shown_name(other.node_id)}")
        tell(f"  code        {code}")
        tell("")
        tell("Both nodes have to show the same. Type the code that the other one shows, or no:")

    def told(self, words: str) -> None:
        """Show what has happened."""
        tell(words)

    def typed(self) -> str | None:
        """Give a line, without waiting. The end of the input says no, once."""
        if self._is_gone or not select.select([sys.stdin], [], [], 0)[0]:
            return None
        line = os.read(sys.stdin.fileno(), LINE_BYTES_MAX)
        self._is_gone = not line
        return line.decode(errors="replace") if line else "no"


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::", "[::]")  # noqa: S104  compared, not bound
