"""A dashboard, as a program opens and closes it."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Iterable
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import WeakSet

from softadastra.aio import AsyncClient
from softadastra.client import Client
from softadastra.dashboard.addresses import Address, is_loopback
from softadastra.dashboard.origins import Origins, checked_name
from softadastra.dashboard.tokens import Token
from softadastra.errors import InvalidArgumentError, InvalidStateError
from softadastra.sync.notices import Level

if TYPE_CHECKING:
    from softadastra.dashboard.serving import Serving

__all__ = ["Dashboard"]


class Dashboard:
    """A page that shows how a node is: its peers, outbox, conflicts, keys, and what happens.

    Use it as a context manager, or call `open` and `close`. It runs in a thread of its own, and
    holds up nobody. It may be opened before the client is, and closed after it; meanwhile its page
    says that the node is closed. Safe to use from any thread.

    Args:
        client: the node that it shows; a `Client` or an `AsyncClient`.
        host: the address that it listens on.
        port: 0: the system picks a free one.
        token: what whoever looks has to show, 16 characters or more. None: one is made, which
            `link` has; only where nobody but this machine reaches the dashboard.
        names: further host names by which it is reached, as that of a reverse proxy.

    Raises:
        InvalidArgumentError: an argument cannot be used.

    Example:
        >>> with Client(ClientOptions.memory_only("node-a")) as node:
        ...     with Dashboard(node, port=0) as dashboard:
        ...         print(dashboard.link.partition("#")[2][:6])
        token=
    """

    def __init__(
        self,
        client: Client | AsyncClient,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        token: str | None = None,
        names: Iterable[str] = (),
    ) -> None:
        if isinstance(client, AsyncClient):
            client = client._client
        if not isinstance(client, Client):
            raise InvalidArgumentError(f"a dashboard shows a Client, got {client!r:.80}")
        self._client = client
        self._address = Address(host, port)
        self._is_token_given = token is not None
        self._token = Token.new() if token is None else Token(token)
        if isinstance(names, str):
            raise InvalidArgumentError(f"names are a list of host names, got one: {names!r:.80}")
        self._names = [checked_name(name) for name in names]
        self._lock = Lock()
        self._listener: socket.socket | None = None
        self._serving: Serving | None = None
        self._port = port
        self._is_local = False

    def open(self) -> Self:
        """Listen, and answer. Open already: nothing.

        Raises:
            InvalidStateError: starlette or uvicorn are not installed.
            InvalidArgumentError: others than this machine reach the address, and no token is given.
            TransportError: the address cannot be listened at; the message says why.
        """
        with self._lock:
            if self._serving is None:
                self._open()
        return self

    def _open(self) -> None:
        try:
            from softadastra.dashboard.serving import Serving
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            raise InvalidStateError(
                f"the dashboard needs {package}, which is not installed: install Softadastra with"
                " its extra dashboard, in a checkout by pip install '.[dashboard]'"
            ) from error
        listener = self._address.bind()
        try:
            is_local = self._check_reach(listener)
            origins = Origins([*self._names, self._address.host], is_local=is_local)
            serving = Serving(
                self._client,
                listener,
                origins=origins,
                is_local=is_local,
                token=self._token,
                fault=self._fault,
            )
            serving.start()
        except BaseException:
            listener.close()
            raise
        self._port, self._is_local = listener.getsockname()[1], is_local
        self._listener, self._serving = listener, serving
        _open.add(self)

    def _check_reach(self, listener: socket.socket) -> bool:
        """Give whether only this machine reaches it; if not, a token has to be given."""
        is_local = is_loopback(listener)
        if not is_local and not self._is_token_given:
            raise InvalidArgumentError(
                f"others than this machine would reach the dashboard at {self._address}, and no"
                " token is set: listen on 127.0.0.1, or give a token (--dashboard-token-file on the"
                " command line)"
            )
        return is_local

    def close(self) -> None:
        """Answer no more, also those who look just now; within a second. Again is no error."""
        with self._lock:
            serving, self._serving, self._listener = self._serving, None, None
        if serving is not None:
            _open.discard(self)
            serving.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Dashboard {self.url} {'open' if self.is_open else 'closed'}>"

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._serving is not None

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine reaches it; not known before it is open, then False."""
        return self._is_local

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self._address.host

    @property
    def port(self) -> int:
        """The port that it listens on; the one that was picked, once it is open."""
        return self._port

    @property
    def token(self) -> str:
        """The secret that whoever looks has to show."""
        return self._token.reveal()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{Address(_reachable(self._address.host), self._port)}/"

    @property
    def link(self) -> str:
        """The same with the token, which the browser keeps to itself: a secret."""
        return f"{self.url}#token={self.token}"

    def _fault(self, path: str, error: Exception) -> None:
        """Tell of a bug, as an event of the node when it is open."""
        node = self._client._node
        words = f"{error!r:.200}"
        if node is not None:
            node.emit(Level.ERROR, "dashboard.faulted", path=path, error=words)
        else:
            logging.getLogger("softadastra").error("dashboard.faulted at %r: %s", path, words)

    def _abandon(self) -> None:
        """Let go of the socket, in a forked child, which has none of the threads."""
        if self._listener is not None:
            self._listener.close()
        self._serving = self._listener = None
        self._lock = Lock()


_open: WeakSet[Dashboard] = WeakSet()
"""For the child of a fork: it would keep the port for as long as it lives."""


def _abandon_in_child() -> None:
    for each in list(_open):
        each._abandon()
    _open.clear()


os.register_at_fork(after_in_child=_abandon_in_child)


def _reachable(host: str) -> str:
    """Give an address to open for one that stands for all of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
