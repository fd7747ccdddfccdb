"""How many peers there can be, and what it means to be shut out."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from softadastra.packing import pack_value
from softadastra.store.changes import Claim
from softadastra.store.origins import Origin
from softadastra.sync.admission import REFUSALS_TOLD_MAX, TELL_INTERVAL_MS
from softadastra.sync.connections import CONTEST_MS, LOCATE_INTERVAL_MS
from softadastra.sync.exclusions import EXCLUSION_MIN_MS, GOOD_AFTER_MS
from softadastra.sync.messages import Ack, Batch, Message, Ping, Pong, Reject, RejectReason
from softadastra.sync.notices import each
from softadastra.sync.output import Push
from softadastra.sync.settings import CONNECTED_MAX, KNOWN_MAX
from softadastra.sync.status import peer_statuses
from softadastra.sync.wire import encode
from softadastra.types import Peer, PeerSource, PeerState, PeerStatus
from tests.engines import WALL_MS, Network, Node
from tests.strangers import HELLO

STRANGER = replace(HELLO, cluster="test")


class Door:
    """A node, and whoever knocks."""

    def __init__(self) -> None:
        self.node: Node = Network("me")["me"]
        self.engine = self.node.engine
        self._links = count(1)

    def come(
        self, name: str, *, host: str = "192.0.2.1", proved: str = "", nonce: int = 1
    ) -> list[Message]:
        """Let somebody dial and greet; give what it is told."""
        self.link = next(self._links)
        up = self.engine.connections.up
        up(self.link, dialled=False, now=self.node.now, proved=proved, host=host)
        hello = replace(STRANGER, node_id=name, nonce=nonce)
        self.node.receive(self.link, encode(hello))
        return self.told(self.link)

    def answer(self, name: str, *, nonce: int = 1, proved: str = "") -> list[Message]:
        """Dial whom is due, and let it greet."""
        (attempt,) = self.due()
        assert attempt.peer.node_id == name
        self.link = attempt.link = next(self._links)
        self.engine.connections.up(self.link, dialled=True, now=self.node.now, proved=proved)
        self.node.receive(self.link, encode(replace(STRANGER, node_id=name, nonce=nonce)))
        return self.told(self.link)

    def miss(self):
        """Dial whom is due, in vain; give the attempt."""
        (attempt,) = self.due()
        attempt.link = next(self._links)
        self.engine.connections.down(attempt.link, "connection refused", self.node.now)
        return attempt

    def due(self):
        now_ms = self.node.network.now_ms
        return self.engine.dialer.due(now_ms, self.engine.connections.settled)

    def told(self, link: int) -> list[Message]:
        """Give what is said now over a connection."""
        self.sends = self.engine.poll(self.node.now, Push.ALL).sends
        return [message for number, message in self.sends if number == link]

    def babble(self) -> None:
        """Send something bad over the connection that was made last."""
        self.engine.offend(self.link, "nonsense", self.node.now)

    def name(self, name: str, port: int = 4041) -> Peer:
        """Have people name a peer."""
        peer = Peer(name, "192.0.2.9", port)
        record = self.engine.register(peer, PeerSource.MANUAL, self.node.now)
        if record is not None:
            self.node.commit(record)
        return peer

    def advance(self, milliseconds: int) -> None:
        self.node.network.now_ms += milliseconds

    @property
    def connected(self) -> set[str]:
        return set(self.engine.connections.active)

    def process(self, name: str) -> int:
        """Give the nonce of the process that a peer is connected by."""
        session = self.engine.connections.of_peer(name)
        assert session is not None
        assert session.peer is not None
        return session.peer.nonce

    def status(self, name: str) -> PeerStatus:
        return {s.node_id: s for s in peer_statuses(self.engine, self.node.now)}[name]

    def events(self, event: str) -> list[dict[str, object]]:
        return [n.fields for n in each(self.engine.notices.waiting) if n.event == event]


def busy(messages: list[Message]) -> str:
    """Give the words of a REJECT "busy"; empty when that was not what was said."""
    found = [m for m in messages if isinstance(m, Reject) and m.reason is RejectReason.BUSY]
    return found[0].words if found else ""


@pytest.fixture
def door() -> Door:
    return Door()


def fill(door: Door, peers: int = CONNECTED_MAX) -> None:
    for n in range(peers):
        assert not busy(door.come(f"n{n:03}"))


# How many.


def test_64_peers_are_connected_and_the_65th_is_told_busy(door: Door):
    fill(door)
    assert len(door.connected) == CONNECTED_MAX == 64

    assert busy(door.come("one-more")) == ("64 peers are connected here, which is all that can be")
    assert "one-more" not in door.connected
    assert "one-more" not in door.engine.members


def test_when_one_leaves_the_next_one_comes_in(door: Door):
    fill(door)
    door.engine.connections.down(1, "closed", door.node.now)

    assert not busy(door.come("one-more"))
    assert "one-more" in door.connected


def test_a_second_connection_of_a_connected_peer_is_no_65th(door: Door):
    fill(door)

    assert not busy(door.come("n000"))


def test_a_named_peer_takes_the_place_of_the_stranger_that_came_last(door: Door):
    fill(door)
    door.name("friend")

    assert not busy(door.come("friend"))
    last = [message for link, message in door.sends if link == CONNECTED_MAX]
    assert busy(last) == "a peer that was named needs the place of 'n063'"
    assert door.connected == {"friend", *(f"n{n:03}" for n in range(63))}


def test_a_named_peer_that_is_dialled_takes_a_place_too(door: Door):
    fill(door)
    door.name("friend")
    door.answer("friend")

    assert "friend" in door.connected
    assert len(door.connected) == CONNECTED_MAX


def test_named_peers_are_not_squeezed_out_by_any_number_of_strangers(door: Door):
    door.name("friend")
    door.come("friend")
    for n in range(2 * CONNECTED_MAX):
        door.come(f"n{n:03}")

    assert "friend" in door.connected
    assert len(door.connected) == CONNECTED_MAX


def test_a_65th_that_people_have_named_beside_64_named_ones_is_their_wish(door: Door):
    for n in range(CONNECTED_MAX + 1):
        door.name(f"n{n:03}", port=4000 + n)
    fill(door, CONNECTED_MAX + 1)

    assert len(door.connected) == CONNECTED_MAX + 1


def test_256_peers_are_known_and_the_257th_name_is_told_busy(door: Door):
    for n in range(KNOWN_MAX):
        assert not busy(door.come(f"n{n:03}"))
        door.engine.connections.down(door.link, "closed", door.node.now)
    assert len(door.engine.members) == KNOWN_MAX == 256

    assert busy(door.come("one-more")) == (
        "256 peers are known here, which is all that can be: forget one of them"
    )
    assert "one-more" not in door.engine.members
    assert not busy(door.come("n000"))


def test_a_257th_peer_that_people_name_is_known_and_comes_in(door: Door):
    for n in range(KNOWN_MAX):
        door.come(f"n{n:03}")
        door.engine.connections.down(door.link, "closed", door.node.now)
    door.name("friend")

    assert not busy(door.come("friend"))
    assert "friend" in door.connected


def test_who_was_only_told_of_does_not_count_as_known(door: Door):
    member = door.engine.members.connected
    for n in range(KNOWN_MAX):
        heard = replace(member(f"n{n:03}"), accepted=False, witnessed=True)
        door.engine.members.change(heard)

    assert not busy(door.come("one-more"))


# What is told.


def test_refusals_are_told_16_times_a_minute_and_then_counted(door: Door):
    fill(door)
    for n in range(REFUSALS_TOLD_MAX + 5):
        door.come(f"more-{n}")
    told = door.events("peer.refused")
    assert [fields["count"] for fields in told] == [1] * REFUSALS_TOLD_MAX

    door.advance(TELL_INTERVAL_MS)
    door.engine.notices.take()
    for session in door.engine.connections.sessions.values():
        session.heard_ms = door.node.network.now_ms
    door.come("another")

    assert [fields["count"] for fields in door.events("peer.refused")] == [6]


# Who is shut out.


def test_the_third_bad_message_shuts_a_peer_out_for_a_minute(door: Door):
    for nonce in range(3):
        assert not busy(door.come("evil", nonce=nonce))
        door.babble()

    words = "shut out for 60 s, after 3 bad messages in a minute; the last one: nonsense"
    assert busy(door.come("evil")) == words
    assert door.status("evil").state is PeerState.FAULTED
    assert door.status("evil").last_error == words
    assert door.events("peer.excluded") == [
        {"peer": "evil", "place": "192.0.2.1", "excluded_ms": 60_000, "reason": "nonsense"}
    ]


def test_a_minute_later_it_is_let_in_again_and_then_shut_out_for_two(door: Door):
    for _ in range(3):
        door.come("evil")
        door.babble()
    door.advance(EXCLUSION_MIN_MS - 1)
    assert busy(door.come("evil"))
    door.advance(1)
    assert not busy(door.come("evil"))
    for _ in range(3):
        door.babble()
        door.come("evil")

    assert busy(door.come("evil")).startswith("shut out for 120 s")


def test_a_refused_greeting_is_no_bad_message(door: Door):
    """Two clusters, or two policies, are a mistake of people, and end when it is mended."""
    for _ in range(4):
        link = 1_000 + door.engine.connections.have_delay_ms
        door.engine.connections.up(link, dialled=False, now=door.node.now, host="192.0.2.1")
        door.node.receive(link, encode(replace(STRANGER, cluster="other")))
        door.told(link)

    assert not busy(door.come("evil"))


def test_what_comes_before_a_greeting_shuts_out_nobody(door: Door):
    """A web request from this machine must not keep its nodes away."""
    for n in range(20):
        door.engine.connections.up(500 + n, dialled=False, now=door.node.now, host="127.0.0.1")
        door.engine.offend(500 + n, "a peer that does not speak ZMTP 3", door.node.now)

    assert not busy(door.come("honest", host="127.0.0.1"))
    assert door.events("peer.excluded") == []


def test_a_stranger_on_the_same_host_shuts_out_its_own_name_alone(door: Door):
    for _ in range(3):
        door.come("evil", host="127.0.0.1")
        door.babble()

    assert busy(door.come("evil", host="127.0.0.1"))
    assert not busy(door.come("honest", host="127.0.0.1"))


def test_a_stranger_that_took_the_name_of_a_peer_does_not_silence_it(door: Door):
    door.come("honest", host="127.0.0.1", nonce=7)
    door.advance(GOOD_AFTER_MS)
    door.engine.connections.down(door.link, "closed", door.node.now)
    for nonce in (666, 667, 668):
        door.come("honest", host="127.0.0.1", nonce=nonce)
        door.babble()

    assert busy(door.come("honest", host="127.0.0.1", nonce=669))
    assert not busy(door.come("honest", host="127.0.0.1", nonce=7))
    assert door.status("honest").state is PeerState.CONNECTED


def test_a_stranger_that_took_the_name_of_a_peer_does_not_keep_this_node_from_dialling_it(
    door: Door,
):
    door.name("honest")
    for nonce in (666, 667, 668):
        door.come("honest", nonce=nonce)
        door.babble()

    assert not busy(door.answer("honest", nonce=7))
    assert "honest" in door.connected


def test_a_peer_is_shut_out_by_its_key_from_wherever_it_comes(door: Door):
    for n in range(3):
        door.come("evil", proved="evil", host=f"192.0.2.{n}", nonce=n)
        door.babble()

    assert busy(door.come("evil", proved="evil", host="192.0.2.77", nonce=7))
    assert not busy(door.come("honest", proved="honest", host="192.0.2.1"))


def test_all_connections_of_a_key_that_is_shut_out_end(door: Door):
    door.come("evil", proved="evil", nonce=1)
    for nonce in (2, 3, 4):
        assert len(door.engine.connections.sessions) == 1
        door.come("evil", proved="evil", nonce=nonce)
        door.babble()

    assert door.engine.connections.sessions == {}


def test_an_address_that_is_shut_out_is_not_dialled_meanwhile(door: Door):
    door.name("evil")
    for _ in range(3):
        door.answer("evil")
        door.babble()
        door.advance(1_000)
    assert door.due() == []
    deadline = door.engine.dialer.deadline(door.connected)
    assert deadline is not None
    door.advance(deadline - door.node.network.now_ms - 1)
    assert door.due() == []
    door.advance(1)

    assert [attempt.peer.node_id for attempt in door.due()] == ["evil"]


def test_who_is_shut_out_by_its_key_is_dialled_at_no_address(door: Door):
    door.name("evil")
    for _ in range(3):
        door.come("evil", proved="evil")
        door.babble()
        door.due()
    door.advance(EXCLUSION_MIN_MS - 1)
    assert door.due() == []
    door.advance(1)

    assert len(door.due()) == 1


def test_of_a_found_peers_addresses_the_bad_one_alone_is_left_out(door: Door):
    liar, true = (Peer("b", host, 4041) for host in ("192.0.2.66", "192.0.2.2"))
    door.engine.propose([liar, true], door.node.now)
    door.engine.dialer.bar(liar, 60_000)

    assert [attempt.peer for attempt in door.due()] == [true]


def test_people_who_connect_to_a_peer_end_its_exclusion(door: Door):
    door.name("evil")
    for _ in range(3):
        door.answer("evil")
        door.babble()
        door.advance(1_000)
    door.name("evil")

    assert not busy(door.answer("evil"))
    assert "evil" in door.connected


# Who takes the name of somebody, without security.


def rejected(door: Door, link: int) -> list[RejectReason]:
    return [m.reason for number, m in door.sends if number == link and isinstance(m, Reject)]


@pytest.mark.parametrize("comes", [True, False], ids=["it dials as well", "it waits to be dialled"])
def test_who_took_the_name_of_a_peer_first_gives_way_to_who_is_where_people_say(
    door: Door, comes: bool
):
    """Else whoever is there before it keeps a peer away for as long as he likes."""
    door.name("b")
    door.come("b", nonce=666)
    squatter = door.link
    if comes:
        door.come("b", nonce=7)
    door.answer("b", nonce=7)

    assert door.process("b") == 7
    assert rejected(door, squatter) == [RejectReason.DUPLICATE_IDENTITY]


def test_then_the_name_is_taken_and_nobody_is_dialled_for_another_claim(door: Door):
    door.name("b")
    door.come("b", nonce=666)
    door.come("b", nonce=7)
    door.answer("b", nonce=7)
    door.come("b", nonce=667)

    assert door.due() == []
    assert door.process("b") == 7


def test_when_nobody_is_where_people_say_who_came_stays_and_the_address_is_asked_now_and_then(
    door: Door,
):
    """It may be a peer behind a router. Or its owner comes back only later."""
    door.name("b")
    door.come("b", nonce=7)
    first = door.link
    for _ in range(3):
        assert door.miss().last_error == ""
        door.advance(LOCATE_INTERVAL_MS - 1)
        assert door.due() == []
        door.advance(1)

    assert door.engine.connections.active == {"b": first}


def test_a_peer_that_came_and_went_is_dialled_at_once_where_it_was_not_to_be_found(door: Door):
    door.name("b")
    door.come("b", nonce=7)
    attempt = door.miss()
    door.advance(1_000)
    door.engine.connections.down(door.link, "closed by the peer", door.node.now)

    assert door.due() == [attempt]


def test_another_claim_has_the_named_address_asked_soon(door: Door):
    door.name("b")
    door.come("b", nonce=666)
    attempt = door.miss()
    door.advance(1_000)
    door.come("b", nonce=7)

    assert door.due() == [attempt]


def test_a_claim_has_nobody_dialled_whom_people_have_not_named(door: Door):
    door.come("b", nonce=7)
    door.come("b", nonce=666)

    assert door.due() == []


def test_a_proved_key_is_in_no_doubt(door: Door):
    door.name("b")
    door.come("b", proved="b", nonce=7)
    door.come("b", proved="b", nonce=8)

    assert door.due() == []


def test_a_greeting_that_is_said_again_elsewhere_takes_over_only_from_who_is_gone(door: Door):
    """Who has heard a greeting knows its nonce. The owner's connection answers, so it stays."""
    door.come("b", nonce=7)
    owner = door.link
    door.come("b", nonce=7)
    copy = door.link
    door.node.receive(owner, encode(Pong(door.node.now.mono_ms)))
    door.told(copy)

    assert door.engine.connections.active == {"b": owner}
    assert rejected(door, copy) == [RejectReason.DUPLICATE_IDENTITY]


def test_what_a_second_process_of_a_name_brings_before_it_is_rejected_is_merged_and_acknowledged(
    door: Door,
):
    """It is another incarnation, so its writes are none of the first one's."""
    door.come("b", nonce=7)
    first = door.link
    door.come("b", nonce=8)
    second = door.link
    batch = Batch(
        id=5,
        told=0,
        origins=[Origin("b", 8)],
        lives=[],
        claims=[Claim(0, 1, [(1, 0, 0)])],
        keys=["k"],
        columns=([0], [1], [WALL_MS << 16], [1], [pack_value("v", max_bytes=9)], [0]),
        states=[],
    )
    door.node.receive(second, encode(batch))

    assert [m.batches for m in door.told(second) if isinstance(m, Ack)] == [[5]]
    door.node.receive(first, encode(Pong(door.node.now.mono_ms)))
    door.told(second)
    assert rejected(door, second) == [RejectReason.DUPLICATE_IDENTITY]
    assert door.node.get("k") == "v"


def test_a_process_that_connects_anew_takes_over_from_its_connection_that_is_dead(door: Door):
    door.come("b", nonce=7)
    door.come("b", nonce=7)
    door.advance(CONTEST_MS)
    door.told(door.link)

    assert door.engine.connections.active == {"b": door.link}


def test_a_connection_that_has_just_given_way_to_another_one_takes_nothing_over(door: Door):
    """It once carried the name of its peer though it was gone, and that ended the reactor."""
    door.come("b", nonce=1)
    first = door.link
    door.come("b", nonce=7)
    second = door.link
    third = next(door._links)
    door.engine.connections.up(third, dialled=True, now=door.node.now)
    door.node.receive(third, encode(replace(STRANGER, node_id="b", nonce=7)))
    door.engine.connections.down(first, "closed", door.node.now)
    assert door.engine.connections.active == {"b": third}
    door.advance(CONTEST_MS)
    door.told(second)

    assert door.engine.connections.active == {"b": second}
    assert third not in door.engine.connections.sessions


def test_a_peer_whose_greetings_are_lost_on_the_way_is_not_shut_out(door: Door):
    """What comes first then is a Ping; it was taken for an offence."""
    peer = door.name("peer")
    for number in range(100, 103):
        (attempt,) = door.due()
        attempt.link = number
        door.engine.connections.up(number, dialled=True, now=door.node.now)
        door.node.receive(number, encode(Ping(0)))
        door.advance(10_000)

    assert [attempt.peer for attempt in door.due()] == [peer]
    assert not busy(door.answer("peer"))
    assert door.connected == {"peer"}
