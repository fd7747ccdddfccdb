"""Two nodes tell each other their keys, and two people see whether somebody is in between.

    who dials                             who was dialled

    introduction  ------------------->
                  <-------------------    introduction, with a commitment to nonce L
    nonce D       ------------------->
                  <-------------------    nonce L
          both show the code; both people compare, and confirm
    confirm       ------------------->
                  <-------------------    confirm
                  <-------------------    pinned
    pinned        ------------------->

The code is six digits of a hash over both introductions and both nonces. Whoever sits in between
and hands each side a key of his own has two exchanges, with two codes, and needs them to be equal.
A short code alone would not stop him: he would try keys until it fits. So who was dialled commits
to its nonce before it sees the other's, and shows it afterwards: in either exchange he is bound
before he knows the honest side's nonce, and each code is a draw of 10^6 that he cannot repeat. This
is Bluetooth's numeric comparison (Core Specification, volume 3, part H, 2.3.5.6.2), ZRTP's hash
commitment (RFC 6189, 4.4.1.1), and proved by Vaudenay, "Secure Communications over Insecure
Channels Based on Short Authenticated Strings" (CRYPTO 2005).

What is said afterwards is bound to the code as well. An introduction has a lock, the hash of the
hash of a seed: only who made it can show the hash, which confirms, and then the seed, which says
that it has pinned. So nothing needs to be encrypted: what is sent is public, and what is changed on
the way either changes the code or opens no lock. That a node has the secret key of the public one
is not shown here: nobody can use a key that is pinned without.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from enum import Enum
from typing import Final, NamedTuple

import msgpack

from softadastra.errors import ProtocolError
from softadastra.security.introductions import (
    Confirm,
    Introduction,
    Message,
    Pinned,
    Reveal,
)
from softadastra.security.keys import PublicKey

__all__ = ["CODES", "Exchange", "Party", "Role", "Stage"]

CODES: Final = 1_000_000
"""Six digits, as in Bluetooth: what two people read to each other in one breath."""

_COMMITMENT: Final = "softadastra pairing 1 commitment"
_CODE: Final = "softadastra pairing 1 code"


class Role(Enum):
    """Who began."""

    DIALLER = 1
    LISTENER = 2


class Stage(Enum):
    """How far an exchange has come."""

    INTRODUCING = 1
    REVEALING = 2
    COMPARING = 3
    """The code is known; both people are asked."""
    PINNING = 4
    """Both people have confirmed."""
    DONE = 5
    """Both nodes have pinned, and have heard it from each other."""


class Party(NamedTuple):
    """One of the two nodes."""

    node_id: str
    key: PublicKey


class Exchange:
    """One node's side of an exchange with one other.

    Args:
        me: this node.
        role: whether it dials.
        nonce: 32 random bytes, drawn for this exchange.
        seed: 32 more.
    """

    __slots__ = (
        "_is_pinned_there",
        "_mine",
        "_nonce",
        "_opened",
        "_role",
        "_seed",
        "_theirs",
        "code",
        "is_confirmed_here",
        "is_pinned_here",
        "stage",
    )

    def __init__(self, me: Party, role: Role, *, nonce: bytes, seed: bytes) -> None:
        self.stage = Stage.INTRODUCING
        self.code = ""
        """What both people compare, as "482 913"; empty until it is known."""
        self.is_confirmed_here = False
        """Whether the person here has confirmed the code."""
        self.is_pinned_here = False
        """Whether this node trusts the other one by now."""
        self._role = role
        self._nonce = nonce
        self._seed = seed
        self._mine = Introduction(*me, _hash(_hash(seed)), b"")
        self._theirs: Introduction | None = None
        self._opened: bytes | None = None
        """What the other node has confirmed with."""
        self._is_pinned_there = False

    @property
    def other(self) -> Party | None:
        """Who the other node says it is; None until it did."""
        return None if self._theirs is None else Party(self._theirs.node_id, self._theirs.key)

    def open(self) -> list[Message]:
        """Give what who dials says first."""
        return [self._mine] if self._role is Role.DIALLER else []

    def receive(self, message: Message) -> list[Message]:
        """Take in what the other node says, and give what to answer.

        Raises:
            ProtocolError: it may not say that, or not now. The exchange is to be ended.
        """
        match self.stage, message:
            case Stage.INTRODUCING, Introduction():
                return self._introduced(message)
            case Stage.REVEALING, Reveal(nonce):
                return self._revealed(nonce)
            case Stage.COMPARING, Confirm(opened) if self._is_lock_opened(opened):
                self._opened = opened
                self._settle()
                return []
            case Stage.PINNING, Pinned(opened) if _hash(opened) == self._opened:
                self._is_pinned_there = True
                return self._finish()
            case _:
                raise ProtocolError(
                    f"a {type(message).__name__} that does not belong here, in the stage"
                    f" {self.stage.name}"
                )

    def confirm(self) -> list[Message]:
        """Take in that the person here has confirmed the code; give what to say."""
        assert self.stage is Stage.COMPARING
        self.is_confirmed_here = True
        self._settle()
        return [Confirm(_hash(self._seed))]

    def pinned(self) -> list[Message]:
        """Take in that this node trusts the other one now; give what to say."""
        assert self.stage is Stage.PINNING
        self.is_pinned_here = True
        return self._finish()

    def _introduced(self, theirs: Introduction) -> list[Message]:
        """Answer an introduction: who was dialled with a commitment, who dials with its nonce."""
        is_from_listener = bool(theirs.commitment)
        if is_from_listener is not (self._role is Role.DIALLER):
            raise ProtocolError("an introduction of the wrong side")
        self._theirs = theirs
        self.stage = Stage.REVEALING
        if self._role is Role.DIALLER:
            return [Reveal(self._nonce)]
        commitment = _commitment(theirs, self._mine, self._nonce)
        self._mine = replace(self._mine, commitment=commitment)
        return [self._mine]

    def _revealed(self, nonce: bytes) -> list[Message]:
        """Take the other's share of chance, which gives the code."""
        assert self._theirs is not None
        self.stage = Stage.COMPARING
        if self._role is Role.LISTENER:
            self.code = _code(self._theirs, self._mine, nonce, self._nonce)
            return [Reveal(self._nonce)]
        if _commitment(self._mine, self._theirs, nonce) != self._theirs.commitment:
            raise ProtocolError("a nonce other than the one that it was committed to")
        self.code = _code(self._mine, self._theirs, self._nonce, nonce)
        return []

    def _is_lock_opened(self, opened: bytes) -> bool:
        assert self._theirs is not None
        return _hash(opened) == self._theirs.lock

    def _settle(self) -> None:
        if self.is_confirmed_here and self._opened is not None:
            self.stage = Stage.PINNING

    def _finish(self) -> list[Message]:
        """Give what to say once this node has pinned: who dials waits for the other's word."""
        if self.is_pinned_here and self._is_pinned_there:
            self.stage = Stage.DONE
            return [Pinned(self._seed)] if self._role is Role.DIALLER else []
        is_first = self._role is Role.LISTENER and self.is_pinned_here
        return [Pinned(self._seed)] if is_first else []


def _commitment(dialler: Introduction, listener: Introduction, nonce: bytes) -> bytes:
    return _hash_of(_COMMITMENT, *_bound(dialler), *_bound(listener), nonce)


def _code(
    dialler: Introduction, listener: Introduction, dialler_nonce: bytes, listener_nonce: bytes
) -> str:
    digest = _hash_of(_CODE, *_bound(dialler), *_bound(listener), dialler_nonce, listener_nonce)
    digits = f"{int.from_bytes(digest) % CODES:06}"
    return f"{digits[:3]} {digits[3:]}"


def _bound(introduction: Introduction) -> tuple[str, bytes, bytes]:
    """Give what an introduction says that must not be changed on the way."""
    return introduction.node_id, introduction.key.raw, introduction.lock


def _hash_of(*parts: str | bytes) -> bytes:
    """Hash a list, each part with its length before it: no other list gives the same bytes."""
    return _hash(msgpack.packb(parts))


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
