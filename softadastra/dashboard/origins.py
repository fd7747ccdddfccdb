"""Which host names a dashboard answers to, and which pages may ask it.

A page elsewhere may have its name lead here (DNS rebinding); its browser then sends that name as
the host, which is refused. An address is no name: nobody else's page can be at one of ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from softadastra.dashboard.refusals import Reason, RefusedError
from softadastra.errors import InvalidArgumentError

__all__ = ["Origins", "checked_name"]

_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)

_OWN: Final = "same-origin"


class Origins:
    """What a dashboard is called.

    Args:
        names: those by which it is reached, as where it listens, or that of a reverse proxy.
        is_local: whether only this machine reaches it: then other addresses are not its own.
    """

    def __init__(self, names: Iterable[str], *, is_local: bool) -> None:
        self._is_local = is_local
        self._names = {name.lower().rstrip(".") for name in (*names, "localhost")}

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that was sent to somebody else.

        Raises:
            RefusedError: it was.
        """
        named = headers.get("host", "")
        host = hostname_of(f"//{named}")
        if host is None or not self._is_own(host):
            raise RefusedError(
                Reason.FOREIGN_HOST,
                f"this dashboard is not called {named!r:.80}: open it at the address that it was"
                " started with, or start it with --dashboard-name for a further name",
            )

    def _is_own(self, host: str) -> bool:
        if host in self._names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback if self._is_local else True

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that another page had a browser send.

        What has neither header comes from no page, or from a browser of before 2020 that asks for
        something to be read: the token is asked for all the same.

        Raises:
            RefusedError: a page of another origin sent it.
        """
        site = headers.get("sec-fetch-site", _OWN)
        origin = headers.get("origin")
        is_foreign = origin is not None and not is_same(origin, headers.get("host", ""))
        if site != _OWN or is_foreign:
            raise RefusedError(
                Reason.FOREIGN_ORIGIN, "only the dashboard's own page may ask for this"
            )


def checked_name(name: str) -> str:
    """Give a host name that is one.

    Raises:
        InvalidArgumentError: it is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"{name!r:.80} is no host name: expected one without scheme and port, as"
            " node.example.org"
        )
    return name


def is_same(origin: str, host: str) -> bool:
    """Whether an origin is that of a host. A reverse proxy may have added the encryption."""
    scheme, colon, authority = origin.partition("://")
    return bool(colon) and scheme in ("http", "https") and authority.lower() == host.lower()


def hostname_of(url: str) -> str | None:
    """Give the host of an address without its port; None when it has no such form."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a port that is none raises
    except ValueError:
        return None
    if host is None or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return host.rstrip(".")
