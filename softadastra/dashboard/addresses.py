"""Where a dashboard listens."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final, Self

from softadastra.errors import InvalidArgumentError, TransportError

__all__ = ["Address", "is_loopback"]

BACKLOG: Final = 64
"""Connections that wait to be accepted: as many as are open at most."""

_ADVICE: Final = {
    errno.EADDRINUSE: "something listens there already: choose another port, or 0 for a free one",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own",
    errno.EACCES: "this user may not listen there: choose a port above 1023",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen at.

    Args:
        host: a name or an address, as "127.0.0.1" or "::1"; without brackets.
        port: 0 to 65535; 0: the system picks a free one.

    Raises:
        InvalidArgumentError: a part is missing or out of range.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not isinstance(self.host, str) or not self.host or set(self.host) & set("[]/@ "):
            raise InvalidArgumentError(
                f"a dashboard needs a host name or address to listen at, got {self.host!r:.80}"
            )
        if type(self.port) is not int or not 0 <= self.port <= 65535:
            raise InvalidArgumentError(
                f"a dashboard needs a port from 0 to 65535, got {self.port!r:.80}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "host:port", an IPv6 address in brackets; `str(address)` gives it back.

        Raises:
            InvalidArgumentError: the text has another form.
        """
        host, colon, port = text.rpartition(":")
        is_bracketed = host.startswith("[") and host.endswith("]")
        bare = host[1:-1] if is_bracketed else host
        is_port = port.isascii() and port.isdigit() and len(port) <= 5
        if not (colon and bare and is_port and is_bracketed == (":" in bare)):
            raise InvalidArgumentError(
                f"cannot read {text!r:.80}: expected HOST:PORT, as 127.0.0.1:8765 or [::1]:8765"
            )
        return cls(bare, int(port))

    def bind(self) -> socket.socket:
        """Listen there.

        Raises:
            TransportError: that is not possible; the message says why.
        """
        try:
            found = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, kind, protocol, _, address = found[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise self._refused(error) from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise self._refused(error) from error
        listener.setblocking(False)
        return listener

    def _refused(self, error: OSError) -> TransportError:
        advice = _ADVICE.get(error.errno or 0, "see whether the address is right")
        return TransportError(
            f"the dashboard cannot listen at {self}: {(error.strerror or str(error)).lower()};"
            f" {advice}",
            address=str(self),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches a socket that listens."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
