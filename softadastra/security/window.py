"""The two minutes in which a node can be paired, opened by a person.

Pure: time and chance are arguments, and what is to be done is given as actions.

Who dials has one exchange, and who was dialled may have several, because a stranger can knock too:
the person types the code that the other node shows, which picks the right one. A window shows at
most `CODES_MAX` codes, and who dials never begins anew once its nonce is out: it would be a second
draw, which whoever is in between could ask for by cutting the first one off. So his chance is at
most `CODES_MAX` in a million for a window.

A refusal, a stranger and a broken exchange do not close the window of who was dialled: else anybody
could close it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from softadastra.errors import AlreadyExistsError, ProtocolError
from softadastra.security.exchange import Exchange, Party, Role, Stage
from softadastra.security.introductions import (
    Confirm,
    Introduction,
    Message,
    Pinned,
    Refuse,
    Reveal,
    decode,
    encode,
)
from softadastra.security.trusted import Trusted

__all__ = [
    "CODES_MAX",
    "WINDOW_SECONDS_MAX",
    "Action",
    "Closed",
    "Drop",
    "Failed",
    "Paired",
    "Pin",
    "Say",
    "Send",
    "Show",
    "Window",
    "shown_name",
]

WINDOW_SECONDS_MAX: Final = 120.0
"""Two people who talk to each other need less; whoever tries codes should not have more."""

CODES_MAX: Final = 4
"""Codes that a window shows: the right one, and three of strangers who were faster."""

EXCHANGES_MAX: Final = 16
"""Exchanges at once without a code, the oldest one out first: to begin one costs nothing."""

NAME_CHARACTERS_MAX: Final = 40
"""How much of a stranger's node id is shown: with its fingerprint a line of 80. Terminals break
longer lines, and what comes then could pass for a code."""
SAYS_NO: Final = "the person there says no"
HAS_GONE: Final = "the person there has gone"
IS_CLOSED: Final = "the window is closed"
IS_PAIRED: Final = "another node was paired"
SAID: Final = frozenset({SAYS_NO, HAS_GONE, IS_CLOSED, IS_PAIRED})
"""Of what anybody may say when he refuses, this alone is shown where codes are compared. Other
words could look like a code, and be read out to the person at the other node."""

LAST_WORD_MS: Final = 5_000
"""How long a node that has pinned waits to hear that the other one has."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame to who is at a link."""

    link: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """End a link."""

    link: int


@dataclass(frozen=True, slots=True)
class Show:
    """Show who asks, and the code to compare."""

    other: Party
    code: str


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the person something."""

    words: str


@dataclass(frozen=True, slots=True)
class Pin:
    """Trust a node; then call `Window.pinned`."""

    link: int
    other: Party


@dataclass(frozen=True, slots=True)
class Paired:
    """The window is closed: this node trusts the other one."""

    other: Party
    is_mutual: bool
    """Whether it is known that the other one trusts this one."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The window is closed because its time was over; nothing was trusted."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The window is closed, and not because its time was over; nothing was trusted."""

    words: str


Action: TypeAlias = Send | Drop | Show | Say | Pin | Paired | Closed | Failed
"""What is to be done. The last three come last, once."""


class Window:
    """One node's window.

    Args:
        me: this node.
        role: whether it dials.
        trusted: whom it trusts already.
        closes_ms: when the window closes, by the monotonic clock.
        draw: gives 32 random bytes.
    """

    __slots__ = (
        "_actions",
        "_closes_ms",
        "_codes",
        "_draw",
        "_exchanges",
        "_me",
        "_objections",
        "_role",
        "_trusted",
        "is_closed",
    )

    def __init__(
        self,
        me: Party,
        role: Role,
        *,
        trusted: Trusted,
        closes_ms: int,
        draw: Callable[[], bytes],
    ) -> None:
        self.is_closed = False
        self._me = me
        self._role = role
        self._trusted = trusted
        self._closes_ms = closes_ms
        self._draw = draw
        self._exchanges: dict[int, Exchange] = {}
        self._codes = 0
        self._objections = 0
        self._actions: list[Action] = []

    def take(self) -> list[Action]:
        """Give what is to be done now, in this order, and forget it."""
        actions, self._actions = self._actions, []
        return actions

    # The network.

    def up(self, link: int) -> None:
        """Somebody is there."""
        if self.is_closed:
            return
        waiting = [number for number, each in self._exchanges.items() if not each.code]
        if len(waiting) == EXCHANGES_MAX:
            self._end(waiting[0], "too many ask at once")
        nonce, seed = self._draw(), self._draw()
        exchange = self._exchanges[link] = Exchange(self._me, self._role, nonce=nonce, seed=seed)
        self._send(link, exchange.open())

    def received(self, link: int, frame: bytes) -> None:
        """Somebody has said something."""
        exchange = self._exchanges.get(link)
        if exchange is None:
            return
        try:
            message = decode(frame)
            if isinstance(message, Refuse):
                is_shown = self._role is Role.DIALLER or message.words in SAID
                said = f": {message.words}" if is_shown else ""
                self._fail(link, f"{_name(exchange)} refused{said}")
                return
            self._check(message)
            answers = exchange.receive(message)
        except AlreadyExistsError as error:
            self._send(link, [Refuse(error.message)])
            self._object(message, error.message)
            self._fail(link, error.message)
            return
        except ProtocolError as error:
            self._send(link, [Refuse(error.message)])
            self._fail(link, error.message)
            return
        self._send(link, answers)
        self._advance(link, exchange, message)

    def down(self, link: int, reason: str) -> None:
        """A link has ended."""
        exchange = self._exchanges.get(link)
        if exchange is None:
            return
        if exchange.stage is Stage.INTRODUCING:
            # Its nonce is not out yet: who dials may begin anew.
            del self._exchanges[link]
        else:
            self._fail(link, f"the connection with {_name(exchange)} ended: {reason}")

    # The person.

    def answer(self, line: str) -> None:
        """Take what the person has typed: the code that the other node shows, or "no"."""
        shown = {link: each for link, each in self._exchanges.items() if each.code}
        if self.is_closed or any(each.is_pinned_here for each in shown.values()):
            return
        if not shown:
            self._say("Nobody has asked yet.")
        elif line.strip().lower() in ("no", "n"):
            for link, exchange in shown.items():
                self._send(link, [Refuse(SAYS_NO)])
                self._fail(link, f"{_name(exchange)} was refused here")
        elif any(each.is_confirmed_here for each in shown.values()):
            self._say("That is confirmed already. To take it back: no")
        else:
            digits = "".join(line.split())
            links = [link for link, each in shown.items() if each.code.replace(" ", "") == digits]
            if len(links) == 1:
                self._confirm(links[0])
            else:
                self._say(
                    "That is no code of this window. When it is what the other node shows, somebody"
                    " is in between: type no. Otherwise type it again."
                )

    def leave(self) -> None:
        """The person has gone: everybody is refused."""
        for link in list(self._exchanges):
            self._end(link, HAS_GONE)
        self.is_closed = True

    # The clock, and the list of trusted keys.

    def tick(self, now_ms: int) -> None:
        """Close the window when its time is over."""
        if self.is_closed or now_ms < self._closes_ms:
            return
        pinned = next((each for each in self._exchanges.values() if each.is_pinned_here), None)
        if pinned is not None:
            self._close(Paired(_party(pinned), is_mutual=False))
            return
        for link in list(self._exchanges):
            self._end(link, IS_CLOSED)
        self._close(Closed())

    def pinned(self, link: int, now_ms: int) -> None:
        """A node is trusted now, as `Pin` asked for."""
        exchange = self._exchanges[link]
        for other in [each for each in self._exchanges if each != link]:
            self._end(other, IS_PAIRED)
        self._closes_ms = now_ms + LAST_WORD_MS
        self._send(link, exchange.pinned())
        if exchange.stage is Stage.DONE:
            self._close(Paired(_party(exchange), is_mutual=True))

    def unpinned(self, link: int, words: str) -> None:
        """A node could not be trusted, as `Pin` asked for."""
        self._send(link, [Refuse("it could not be written down there")])
        self._close(Failed(words))

    def _check(self, message: Message) -> None:
        """Look at what an exchange cannot know.

        Raises:
            AlreadyExistsError: the other one is this node, or has another key than it is pinned to.
            ProtocolError: this window has shown all its codes.
        """
        match message:
            case Introduction(node_id, key):
                if node_id == self._me.node_id or key == self._me.key:
                    raise AlreadyExistsError(
                        f"the other node is called {node_id!r} and has the key {key.fingerprint}:"
                        f" one of them is that of this node, {self._me.node_id!r}"
                    )
                self._trusted.check_pin(node_id, key)
            case Reveal() if self._codes == CODES_MAX:
                raise ProtocolError("too many have asked: open another window")
            case _:
                return

    def _advance(self, link: int, exchange: Exchange, message: Message) -> None:
        match message:
            case Reveal():
                self._codes += 1
                self._actions.append(Show(_party(exchange), exchange.code))
            case Confirm() if exchange.stage is Stage.PINNING:
                self._actions.append(Pin(link, _party(exchange)))
            case Pinned() if exchange.stage is Stage.DONE:
                self._close(Paired(_party(exchange), is_mutual=True))
            case _:
                return

    def _confirm(self, link: int) -> None:
        exchange = self._exchanges[link]
        self._send(link, exchange.confirm())
        if exchange.stage is Stage.PINNING:
            self._actions.append(Pin(link, _party(exchange)))
        else:
            self._say(f"Confirmed here. Waiting for the person at {_name(exchange)}.")

    def _fail(self, link: int, words: str) -> None:
        """Give an exchange up; who dials has no other one."""
        exchange = self._exchanges.pop(link)
        self._actions.append(Drop(link))
        if exchange.is_pinned_here:
            self._close(Paired(_party(exchange), is_mutual=False))
        elif self._role is Role.DIALLER:
            self._close(Failed(words))
        elif exchange.code:
            self._say(f"{words}. Nothing was trusted; the window stays open.")

    def _object(self, message: Message, words: str) -> None:
        """Tell the person of somebody who is not let in as who it says it is."""
        if self._role is Role.LISTENER and self._objections < CODES_MAX:
            self._objections += 1
            assert isinstance(message, Introduction)
            if message.node_id not in (self._me.node_id, *self._trusted.by_node):
                name = shown_name(message.node_id)
                words = f"{name!r} has a key that is that of this node, or of another one"
            self._say(f"Somebody was refused: {words}")

    def _end(self, link: int, words: str) -> None:
        self._send(link, [Refuse(words)])
        self._actions.append(Drop(link))
        del self._exchanges[link]

    def _close(self, how: Paired | Closed | Failed) -> None:
        self.is_closed = True
        self._actions.append(how)

    def _say(self, words: str) -> None:
        self._actions.append(Say(words))

    def _send(self, link: int, messages: list[Message]) -> None:
        self._actions += [Send(link, encode(message)) for message in messages]


def _party(exchange: Exchange) -> Party:
    assert exchange.other is not None
    return exchange.other


def shown_name(node_id: str) -> str:
    """Give of a node id that anybody may have made up what stays in its line."""
    if len(node_id) <= NAME_CHARACTERS_MAX:
        return node_id
    return f"{node_id[: NAME_CHARACTERS_MAX - 1]}…"


def _name(exchange: Exchange) -> str:
    return repr(shown_name(exchange.other.node_id)) if exchange.other else "the other node"
