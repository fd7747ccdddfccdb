"""`--dashboard` of `node run` and `node start`: how a node is, in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from softadastra.errors import InvalidArgumentError, InvalidStateError

if TYPE_CHECKING:
    from softadastra import Client
    from softadastra.cli.output import Output
    from softadastra.dashboard import Dashboard
    from softadastra.dashboard.addresses import Address

__all__ = ["DASHBOARD_OPTIONS", "Shown", "announce_dashboard", "shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the command line says of a dashboard."""

    address: Address | None
    """None: there is none."""
    token_file: Path | None
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.address is None and (self.token_file is not None or self.names):
            raise click.UsageError(
                "--dashboard-token-file and --dashboard-name are about a dashboard: say where it"
                " is, as with --dashboard 127.0.0.1:8765"
            )

    def check_detached(self) -> None:
        """Refuse what nobody could use: a detached node shows nothing to anybody.

        Raises:
            click.UsageError: the port or the token would be known to nobody.
        """
        if self.address is None:
            return
        if self.address.port == 0:
            raise click.UsageError(
                "A detached node cannot say which port it was given: choose one with --dashboard."
            )
        if self.token_file is None:
            raise click.UsageError(
                "A detached node cannot show its dashboard's token: name a file for it with"
                " --dashboard-token-file, which is made when there is none."
            )

    def document(self, found: Dashboard | None = None) -> dict[str, object] | None:
        """Say where a dashboard is: one of this process, or of one that was just started."""
        if self.address is None:
            return None
        file = self.token_file
        url = f"http://{self.address}/" if found is None else found.url
        return {
            "url": found.link if found is not None and file is None else url,
            "token_file": None if file is None else str(file.absolute()),
        }

    def rows(self) -> list[tuple[str, object]]:
        """Say the same to people, of a node that was just started."""
        document = self.document()
        if document is None:
            return []
        return [("dashboard", document["url"]), ("token_file", document["token_file"])]

    def arguments(self) -> list[str]:
        """Write it as a command line; a file by its full path."""
        if self.address is None:
            return []
        file = self.token_file
        return [
            f"--dashboard={self.address}",
            *(() if file is None else (f"--dashboard-token-file={file.absolute()}",)),
            *(f"--dashboard-name={name}" for name in self.names),
        ]


@contextmanager
def shown(given: Shown, client: Client) -> Iterator[Dashboard | None]:
    """Have a dashboard, if one is asked for, until the block ends.

    Raises:
        click.UsageError: what it needs is not installed.
        InvalidArgumentError: it would be reached by others, without a token.
        TransportError: the address is not free.
        StoreError, StorageError: the token's file cannot be used.
    """
    if given.address is None:
        yield None
        return
    from softadastra.dashboard import Dashboard
    from softadastra.dashboard.tokens import token_in

    token = None if given.token_file is None else token_in(given.token_file).reveal()
    place = (given.address.host, given.address.port)
    dashboard = Dashboard(client, *place, token=token, names=given.names)
    try:
        dashboard.open()
    except InvalidStateError as error:
        raise click.UsageError(error.message) from error
    with dashboard:
        yield dashboard


def announce_dashboard(output: Output, given: Shown, dashboard: Dashboard | None) -> None:
    """Say where a dashboard is to people."""
    if dashboard is None:
        return
    if given.token_file is None:
        output.line(f"Dashboard: {dashboard.link}")
    else:
        output.line(f"Dashboard: {dashboard.url} with the token in {given.token_file}")
    if not dashboard.is_local:
        output.note_if_read(
            "The dashboard is reached without encryption: who sees this network's traffic sees the"
            " token and the data too. Put it behind HTTPS, see docs/dashboard.md."
        )


def _parse_address(_context: Any, _parameter: Any, text: str | None) -> Address | None:
    if text is None:
        return None
    from softadastra.dashboard.addresses import Address

    try:
        return Address.parse(text)
    except InvalidArgumentError as error:
        raise click.BadParameter(error.message) from error


def _parse_names(_context: Any, _parameter: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    from softadastra.dashboard.origins import checked_name

    try:
        return tuple(map(checked_name, names))
    except InvalidArgumentError as error:
        raise click.BadParameter(error.message) from error


DASHBOARD_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option(
        "--dashboard",
        "dashboard_address",
        callback=_parse_address,
        metavar="HOST:PORT",
        help="Show the node in a browser at this address, as 127.0.0.1:8765; needs the extra"
        " dashboard.",
    ),
    click.option(
        "--dashboard-token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Let in who has the token in this file, which is made when there is none (default: a"
        " token for this run, which is shown).",
    ),
    click.option(
        "--dashboard-name",
        "dashboard_names",
        multiple=True,
        callback=_parse_names,
        metavar="NAME",
        help="Answer to this host name too, as that of a reverse proxy; may be given several"
        " times.",
    ),
)
