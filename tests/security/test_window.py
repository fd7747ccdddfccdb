"""The two minutes of pairing: what people see and type, and who else knocks meanwhile."""

from __future__ import annotations

import re
from itertools import count

import pytest

from softadastra.security.exchange import Exchange, Party, Role
from softadastra.security.introductions import Introduction, Message, Refuse, decode, encode
from softadastra.security.keys import PublicKey
from softadastra.security.trusted import Trusted
from softadastra.security.window import (
    CODES_MAX,
    EXCHANGES_MAX,
    LAST_WORD_MS,
    Action,
    Closed,
    Drop,
    Failed,
    Paired,
    Pin,
    Say,
    Send,
    Show,
    Window,
    shown_name,
)

from .samples import public_key

TILL = Party("till", public_key(1))
OFFICE = Party("office", public_key(2))
LENGTH_MS = 120_000

numbers = count(1)


def draw() -> bytes:
    return next(numbers).to_bytes(32)


class Side:
    """A window, and the person who looks at it."""

    def __init__(self, me: Party, role: Role, trusted: Trusted | None = None) -> None:
        self.me = me
        self.trusted = trusted or Trusted.nobody()
        self.window = Window(me, role, trusted=self.trusted, closes_ms=LENGTH_MS, draw=draw)
        self.shown: list[Show] = []
        self.said: list[str] = []
        self.dropped: list[int] = []
        self.outcome: Paired | Closed | Failed | None = None
        self.sent: list[tuple[int, Message]] = []

    def act(self, now_ms: int = 0) -> None:
        """Do what the window asks for; what is to be sent is kept."""
        while actions := self.window.take():
            for action in actions:
                self._do(action, now_ms)

    def _do(self, action: Action, now_ms: int) -> None:
        assert self.outcome is None, "an outcome is the last action"
        match action:
            case Send(link, frame):
                self.sent.append((link, decode(frame)))
            case Drop(link):
                self.dropped.append(link)
            case Show():
                self.shown.append(action)
            case Say(words):
                self.said.append(words)
            case Pin(link, other):
                self.trusted = self.trusted.pinned(*other)
                self.window.pinned(link, now_ms)
            case _:
                self.outcome = action

    def hear(self, link: int, *messages: Message) -> None:
        for message in messages:
            self.window.received(link, encode(message))
        self.act()

    def take_sent(self, link: int) -> list[Message]:
        taken = [message for number, message in self.sent if number == link]
        self.sent = [each for each in self.sent if each[0] != link]
        return taken

    def type(self, line: str) -> None:
        self.window.answer(line)
        self.act()

    def wait(self, now_ms: int) -> None:
        self.window.tick(now_ms)
        self.act(now_ms)

    @property
    def code(self) -> str:
        return self.shown[-1].code


class Stranger:
    """Anybody who dials a window and plays by the rules."""

    def __init__(self, window: Side, link: int, key: PublicKey, node_id: str = "stranger") -> None:
        self.exchange = Exchange(Party(node_id, key), Role.DIALLER, nonce=draw(), seed=draw())
        self.window, self.link = window, link
        window.window.up(link)
        self.say(self.exchange.open())

    def say(self, messages: list[Message]) -> None:
        self.window.hear(self.link, *messages)
        for message in self.window.take_sent(self.link):
            if not isinstance(message, Refuse):
                self.say(self.exchange.receive(message))


def exchange_frames(a: Side, b: Side, link: int = 1) -> None:
    """Carry frames both ways until there are none."""
    while (from_a := a.take_sent(link)) or (from_b := b.take_sent(link)):
        if from_a:
            b.hear(link, *from_a)
        else:
            a.hear(link, *from_b)


def met(**trusted: Trusted) -> tuple[Side, Side]:
    office = Side(OFFICE, Role.DIALLER, trusted.get("office"))
    till = Side(TILL, Role.LISTENER, trusted.get("till"))
    office.window.up(1)
    till.window.up(1)
    office.act()
    exchange_frames(office, till)
    return office, till


def test_two_people_who_confirm_the_code_pair_their_nodes() -> None:
    office, till = met()
    assert office.shown == [Show(TILL, till.code)]
    assert till.shown == [Show(OFFICE, office.code)]

    till.type(office.code)
    office.type(till.code.replace(" ", ""))
    exchange_frames(office, till)

    assert office.outcome == Paired(TILL, is_mutual=True)
    assert till.outcome == Paired(OFFICE, is_mutual=True)
    assert office.trusted.by_node == {"till": TILL.key}
    assert till.trusted.by_node == {"office": OFFICE.key}


def test_nothing_is_trusted_before_both_have_confirmed() -> None:
    office, till = met()
    till.type(till.code)
    exchange_frames(office, till)

    assert (office.trusted.by_node, till.trusted.by_node) == ({}, {})
    assert till.said == ["Confirmed here. Waiting for the person at 'office'."]


@pytest.mark.parametrize("word", ["no", "N", " No \n"])
def test_one_who_says_no_ends_it_for_both(word: str) -> None:
    office, till = met()
    till.type(office.code)
    exchange_frames(office, till)
    office.type(word)
    exchange_frames(office, till)

    assert isinstance(office.outcome, Failed)
    assert (office.trusted.by_node, till.trusted.by_node) == ({}, {})
    assert re.search("'office' refused: the person there says no", till.said[-1])
    assert till.outcome is None  # others may still come


def test_a_confirmation_can_be_taken_back_while_the_other_has_not_confirmed() -> None:
    office, till = met()
    till.type(office.code)
    till.type("no")
    exchange_frames(office, till)
    office.type(till.code)

    assert isinstance(office.outcome, Failed)
    assert (office.trusted.by_node, till.trusted.by_node) == ({}, {})


def test_another_code_confirms_nothing_and_says_what_it_means() -> None:
    office, till = met()
    wrong = f"{(int(till.code.replace(' ', '')) + 1) % 1_000_000:06}"
    for line in (wrong, "", "yes", "y"):
        till.type(line)
        assert "somebody is in between: type no" in till.said[-1]
    office.type(office.code)
    exchange_frames(office, till)

    assert (office.trusted.by_node, till.trusted.by_node) == ({}, {})


def test_what_is_typed_before_anybody_has_asked_confirms_nobody() -> None:
    till = Side(TILL, Role.LISTENER)
    till.type("123 456")

    assert till.said == ["Nobody has asked yet."]


def test_who_is_in_between_is_noticed_because_the_codes_differ() -> None:
    """He has an exchange with each; both nodes show a code, and the people see two."""
    till, office = Side(TILL, Role.LISTENER), Side(OFFICE, Role.DIALLER)
    Stranger(till, 1, public_key(66), node_id="office")
    impostor = Side(Party("till", public_key(66)), Role.LISTENER)
    office.window.up(2)
    impostor.window.up(2)
    office.act()
    exchange_frames(office, impostor, link=2)

    assert office.shown[0].other.node_id == "till"
    assert till.shown[0].other.node_id == "office"
    assert office.code != till.code
    till.type(office.code)
    office.type(till.code)
    assert "somebody is in between" in till.said[-1]
    assert "somebody is in between" in office.said[-1]
    assert (office.trusted.by_node, till.trusted.by_node) == ({}, {})


def test_a_stranger_who_was_faster_does_not_keep_the_right_one_out() -> None:
    till = Side(TILL, Role.LISTENER)
    Stranger(till, 7, public_key(66), node_id="office")
    office = Side(OFFICE, Role.DIALLER)
    office.window.up(1)
    till.window.up(1)
    office.act()
    exchange_frames(office, till)

    assert len(till.shown) == 2
    till.type(office.code)
    office.type(office.code)
    exchange_frames(office, till)

    assert till.outcome == Paired(OFFICE, is_mutual=True)
    assert till.trusted.by_node == {"office": OFFICE.key}
    assert 7 in till.dropped


def test_a_window_shows_so_many_codes_and_no_more() -> None:
    """Each is a draw for whoever wants the one that the right node shows."""
    till = Side(TILL, Role.LISTENER)
    for number in range(CODES_MAX + 3):
        stranger = Stranger(till, number, public_key(10 + number))
        till.hear(number, Refuse("again"))

    assert len(till.shown) == CODES_MAX
    assert stranger.exchange.code == ""


def test_who_dials_begins_anew_only_before_its_nonce_is_out() -> None:
    """Else whoever is in between could cut it off and draw again until the code fits."""
    office, till = Side(OFFICE, Role.DIALLER), Side(TILL, Role.LISTENER)
    office.window.up(1)
    office.act()
    office.window.down(1, "connection closed")
    office.act()
    assert office.outcome is None
    office.take_sent(1)

    office.window.up(2)
    till.window.up(2)
    office.act()
    till.hear(2, *office.take_sent(2))
    office.hear(2, *till.take_sent(2))  # it has shown its nonce now
    office.window.down(2, "connection closed")
    office.act()
    assert office.outcome == Failed("the connection with 'till' ended: connection closed")


def test_many_who_begin_and_do_nothing_do_not_keep_others_out() -> None:
    till = Side(TILL, Role.LISTENER)
    for link in range(100, 100 + EXCHANGES_MAX + 5):
        till.window.up(link)
    till.act()
    assert till.dropped == [100, 101, 102, 103, 104]

    Stranger(till, 1, OFFICE.key, node_id="office")
    assert till.shown[0].other == OFFICE


def test_when_the_time_is_over_nothing_is_trusted_and_everybody_is_told() -> None:
    office, till = met()
    till.type(office.code)
    till.wait(LENGTH_MS - 1)
    assert till.outcome is None

    till.wait(LENGTH_MS)
    assert till.outcome == Closed()
    exchange_frames(office, till)
    assert isinstance(office.outcome, Failed)
    assert (office.trusted.by_node, till.trusted.by_node) == ({}, {})


def test_a_person_who_leaves_refuses_everybody() -> None:
    office, till = met()
    till.window.leave()
    till.act()
    exchange_frames(office, till)

    assert office.outcome == Failed("'till' refused: the person there has gone")


@pytest.mark.parametrize("of_whom", ["till", "office"])
def test_a_pinned_name_with_another_key_is_an_error_and_never_shown(of_whom: str) -> None:
    pinned = {
        "till": Trusted.nobody().pinned("office", public_key(9)),
        "office": Trusted.nobody().pinned("till", public_key(9)),
    }
    office, till = met(**{of_whom: pinned[of_whom]})

    assert isinstance(office.outcome, Failed)
    expected, seen = public_key(9), OFFICE.key if of_whom == "till" else TILL.key
    words = f"expected {expected.fingerprint}, seen {seen.fingerprint}"
    assert words in office.outcome.words
    if of_whom == "till":
        assert words in till.said[0]
    assert not till.shown
    assert not office.shown


def test_to_pair_again_with_the_same_key_is_no_error() -> None:
    office, till = met(till=Trusted.nobody().pinned("office", OFFICE.key))
    till.type(till.code)
    office.type(office.code)
    exchange_frames(office, till)

    assert till.outcome == Paired(OFFICE, is_mutual=True)


@pytest.mark.parametrize(
    "other", [Party("till", public_key(5)), Party("cellar", TILL.key)], ids=["name", "key"]
)
def test_a_node_does_not_pair_with_its_own_name_or_key(other: Party) -> None:
    till = Side(TILL, Role.LISTENER)
    Stranger(till, 1, other.key, node_id=other.node_id)

    assert not till.shown
    assert "that of this node" in till.said[0]


def test_a_flood_of_forged_names_fills_no_screen() -> None:
    till = Side(TILL, Role.LISTENER)
    for number in range(50):
        Stranger(till, number, public_key(100 + number), node_id="till")

    assert len(till.said) == CODES_MAX


def test_bytes_that_are_no_message_end_their_own_exchange_only() -> None:
    office, till = met()
    till.window.up(5)
    till.window.received(5, b"GET / HTTP/1.1")
    till.act()
    assert till.dropped == [5]

    till.type(office.code)
    office.type(office.code)
    exchange_frames(office, till)
    assert till.outcome == Paired(OFFICE, is_mutual=True)


def test_what_a_window_does_not_know_is_ignored() -> None:
    till = Side(TILL, Role.LISTENER)
    till.window.received(9, encode(Introduction("office", OFFICE.key, bytes(32), b"")))
    till.window.down(9, "gone")
    till.act()

    assert (till.sent, till.said, till.dropped) == ([], [], [])


@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "silent"])
def test_a_last_word_that_never_comes_is_told(is_cut: bool) -> None:
    """Two cannot both be sure over a wire that may be cut: the one who is not says so."""
    office, till = met()
    till.type(office.code)
    exchange_frames(office, till)
    office.type(office.code)
    confirmed = office.take_sent(1)
    assert office.trusted.by_node == {"till": TILL.key}

    if is_cut:
        office.window.down(1, "connection closed")
        office.act()
    else:
        office.wait(LAST_WORD_MS - 1)
        assert office.outcome is None
        office.wait(LAST_WORD_MS)
    assert office.outcome == Paired(TILL, is_mutual=False)

    till.hear(1, *confirmed)
    till.wait(LAST_WORD_MS)
    assert till.outcome == Paired(OFFICE, is_mutual=False)


def test_a_node_that_could_not_write_it_down_says_so() -> None:
    office, till = met()
    till.type(office.code)
    exchange_frames(office, till)
    office.window.answer(office.code)
    (sent, pin) = office.window.take()
    assert isinstance(sent, Send)
    assert isinstance(pin, Pin)
    office.window.unpinned(pin.link, "the disk is full")
    office.act()

    assert office.outcome == Failed("the disk is full")
    assert office.take_sent(1) == [Refuse("it could not be written down there")]


def test_nothing_is_shown_of_a_stranger_that_could_look_like_a_code() -> None:
    """A terminal breaks long lines, so that blanks would put what he says where the code stands.

    Somebody in between could let the person here read out the code that the other node shows.
    """
    _, till = met()
    padding = "\N{BRAILLE PATTERN BLANK}" * 60
    till.hear(1, Refuse(f"no{padding}code  123 456"))
    for link, party in enumerate(
        [
            Party(f"office{padding}code  123 456", till.me.key),
            Party(f"office{padding}code  123 456", public_key(3)),
        ],
        start=2,
    ):
        till.window.up(link)
        till.hear(link, Introduction(*party, bytes(32), b""))
        till.hear(link, Refuse("no"))

    assert till.said[0] == "'office' refused. Nothing was trusted; the window stays open."
    assert len(till.said) == 2
    assert not any("123" in words for words in till.said)
    assert len(shown_name(f"office{padding}")) == 40
    assert shown_name("office") == "office"
