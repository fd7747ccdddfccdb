"""Pairing, as two nodes and somebody in between play it: who is in between has one draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from softadastra.errors import ProtocolError
from softadastra.security.exchange import CODES, Exchange, Party, Role, Stage
from softadastra.security.introductions import (
    Confirm,
    Introduction,
    Message,
    Pinned,
    Reveal,
)

from .samples import public_key

TILL = Party("till", public_key(1))
OFFICE = Party("office", public_key(2))
MALLORY = public_key(66)

numbers = count(1)


def draw() -> bytes:
    """Chance that is the same in each run, and never the same twice."""
    return next(numbers).to_bytes(32)


def dialler(me: Party = OFFICE) -> Exchange:
    return Exchange(me, Role.DIALLER, nonce=draw(), seed=draw())


def listener(me: Party = TILL) -> Exchange:
    return Exchange(me, Role.LISTENER, nonce=draw(), seed=draw())


def carry(messages: list[Message], to: Exchange, back: Exchange) -> None:
    """Carry messages, and the answers to them, until nobody says anything."""
    for message in messages:
        carry(to.receive(message), back, to)


def greeted() -> tuple[Exchange, Exchange]:
    office, till = dialler(), listener()
    carry(office.open(), till, office)
    return office, till


def paired() -> tuple[Exchange, Exchange]:
    office, till = greeted()
    carry(office.confirm(), till, office)
    carry(till.confirm(), office, till)
    return office, till


def test_two_nodes_show_the_same_code_of_six_digits_and_each_others_keys() -> None:
    office, till = greeted()

    assert office.code == till.code
    assert len(office.code) == 7
    assert office.code.replace(" ", "").isdigit()
    assert (office.other, till.other) == (TILL, OFFICE)


def test_another_exchange_of_the_same_nodes_has_another_code() -> None:
    assert len({greeted()[0].code for _ in range(20)}) > 15


def test_both_pin_when_both_people_have_confirmed_and_not_before() -> None:
    office, till = greeted()
    carry(office.confirm(), till, office)

    assert (office.stage, till.stage) == (Stage.COMPARING, Stage.COMPARING)
    carry(till.confirm(), office, till)
    assert (office.stage, till.stage) == (Stage.PINNING, Stage.PINNING)


@pytest.mark.parametrize("is_dialler_first", [True, False])
def test_who_dials_is_done_when_the_other_has_pinned_and_says_so_last(
    is_dialler_first: bool,
) -> None:
    office, till = paired()
    if is_dialler_first:
        carry(office.pinned(), till, office)
        assert till.stage is Stage.PINNING
        carry(till.pinned(), office, till)
    else:
        carry(till.pinned(), office, till)
        assert office.stage is Stage.PINNING
        carry(office.pinned(), till, office)

    assert (office.stage, till.stage) == (Stage.DONE, Stage.DONE)


class Between:
    """Somebody between two nodes, who says to each that he is the other, with a key of his own."""

    def __init__(self) -> None:
        self.office, self.till = dialler(), listener()
        self.to_office = listener(Party(TILL.node_id, MALLORY))
        self.to_till = dialler(Party(OFFICE.node_id, MALLORY))

    def greet(self) -> None:
        carry(self.office.open(), self.to_office, self.office)
        carry(self.to_till.open(), self.till, self.to_till)


def test_who_is_in_between_with_a_key_of_his_own_gives_the_two_nodes_other_codes() -> None:
    same = 0
    for _ in range(50):
        between = Between()
        between.greet()
        assert (between.office.stage, between.till.stage) == (Stage.COMPARING, Stage.COMPARING)
        same += between.office.code == between.till.code

    assert same == 0


@pytest.mark.parametrize(
    "changed",
    [
        lambda each: replace(each, key=MALLORY),
        lambda each: replace(each, node_id="cellar"),
        lambda each: replace(each, lock=draw()),
    ],
    ids=["key", "node id", "lock"],
)
@pytest.mark.parametrize("of_whom", ["who dials", "who was dialled"])
def test_whatever_is_changed_in_an_introduction_changes_the_code_or_ends_it(
    changed, of_whom: str
) -> None:
    """The lock as well: else somebody in between could confirm for people who did not."""
    office, till = dialler(), listener()
    (first,) = office.open()
    (second,) = till.receive(changed(first) if of_whom == "who dials" else first)
    (nonce,) = office.receive(changed(second) if of_whom == "who was dialled" else second)
    (answer,) = till.receive(nonce)

    with pytest.raises(ProtocolError, match="other than the one that it was committed to"):
        office.receive(answer)
    assert office.code == ""


def test_who_was_dialled_is_held_to_the_nonce_that_it_committed_to() -> None:
    """Without it, whoever answers could try nonces until the code is the one that it needs."""
    office, till = dialler(), listener()
    carry_first = till.receive(office.open()[0])
    office.receive(carry_first[0])

    with pytest.raises(ProtocolError, match="committed"):
        office.receive(Reveal(draw()))


def test_who_was_dialled_shows_its_nonce_only_when_it_has_the_other_one() -> None:
    office, till = dialler(), listener()
    (answer,) = till.receive(office.open()[0])

    assert isinstance(answer, Introduction)
    assert draw_of(till) not in (answer.commitment, answer.lock)
    assert till.receive(Reveal(draw())) == [Reveal(draw_of(till))]


def draw_of(exchange: Exchange) -> bytes:
    return exchange._nonce


def test_the_code_hangs_on_both_nonces() -> None:
    """With one alone, one side could choose the code."""
    for side in ("office", "till"):
        codes = set()
        for _ in range(10):
            fixed = {"nonce": bytes(32), "seed": bytes(32)}
            fresh = {"nonce": draw(), "seed": bytes(32)}
            office = Exchange(OFFICE, Role.DIALLER, **(fresh if side == "office" else fixed))
            till = Exchange(TILL, Role.LISTENER, **(fresh if side == "till" else fixed))
            carry(office.open(), till, office)
            codes.add(office.code)

        assert len(codes) > 5


def test_codes_are_spread_over_all_six_digits() -> None:
    codes = [int(greeted()[0].code.replace(" ", "")) for _ in range(300)]

    assert len(set(codes)) > 290
    assert min(codes) < CODES // 20
    assert max(codes) > CODES - CODES // 20


def test_nobody_else_can_confirm() -> None:
    office, till = greeted()
    office.confirm()

    with pytest.raises(ProtocolError, match="Confirm that does not belong here"):
        office.receive(Confirm(draw()))
    with pytest.raises(ProtocolError):
        office.receive(Confirm(office._mine.lock))  # what everybody has seen
    assert office.stage is Stage.COMPARING
    assert till.stage is Stage.COMPARING


def test_a_confirmation_is_of_one_exchange() -> None:
    """One that was heard before opens no lock of another exchange of the same nodes."""
    office, _ = greeted()
    heard = office.confirm()[0]
    _, till = greeted()
    till.confirm()

    with pytest.raises(ProtocolError):
        till.receive(heard)


def test_nobody_else_can_say_that_a_node_has_pinned() -> None:
    office, till = paired()
    office.pinned()
    for opened in (draw(), till._opened or b"", office._mine.lock):
        with pytest.raises(ProtocolError):
            office.receive(Pinned(opened))

    assert office.stage is Stage.PINNING


def orders() -> Iterator[tuple[str, Exchange, Message]]:
    office, till = greeted()
    hello, reveal = dialler().open()[0], Reveal(draw())
    assert isinstance(hello, Introduction)
    yield "a nonce before the introduction", listener(), reveal
    yield "a confirmation before the introduction", listener(), Confirm(draw())
    yield "an introduction of who dials, to who dials", dialler(), hello
    yield "a second introduction", till, hello
    yield "a second nonce", till, reveal
    yield (
        "an introduction with a commitment, to who was dialled",
        listener(),
        replace(hello, commitment=draw()),
    )
    yield "to have pinned what nobody has confirmed", office, Pinned(draw())


@pytest.mark.parametrize(
    ("exchange", "message"), [each[1:] for each in orders()], ids=[each[0] for each in orders()]
)
def test_what_comes_at_the_wrong_time_is_refused(exchange: Exchange, message: Message) -> None:
    with pytest.raises(ProtocolError):
        exchange.receive(message)
