"""How a peer stands: what it lacks, for how long, and how it answers."""

from __future__ import annotations

from softadastra.store.changes import OWN
from softadastra.store.splitting import Split
from softadastra.sync.messages import Ack, Batch, Ping, Pong
from tests.engines import WALL_MS, Network
from tests.health.looking import moment_of, standing

HOUR = 3_600_000


def pair(**options) -> Network:
    network = Network("a", "b", **options)
    network.join("a", "b")
    network.run()
    return network


def test_a_peer_that_has_everything_lags_neither_in_writes_nor_in_time():
    network = pair()
    network["a"].write(("key", 1))
    network.run()

    found = standing(network["a"], "b")
    assert (found.lag, found.lag_ms, found.others_lag, found.ahead) == (0, 0, 0, 0)


def test_a_peer_lags_since_the_first_write_that_it_lacks_was_made():
    network = pair()
    a = network["a"]
    network.cut(a)
    network.now_ms += 1_000
    a.write(("first", 1))
    network.now_ms += 5_000
    a.write(("second", 2))
    network.now_ms += 2_000

    assert (standing(a, "b").lag, standing(a, "b").lag_ms) == (2, 7_000)


def test_a_write_that_was_overwritten_counts_for_the_lag_as_old_as_it_is():
    network = pair()
    a = network["a"]
    network.cut(a)
    for _ in range(100):
        network.now_ms += 60_000
        a.write(("same key", network.now_ms))

    found = standing(a, "b")
    assert found.lag == 100
    assert found.lag_ms == 99 * 60_000


def test_the_lag_is_known_in_the_next_life_too():
    network = pair()
    a = network["a"]
    network.cut(a)
    a.write(("same key", 1))
    network.now_ms += HOUR
    a.write(("same key", 2))
    a.restart()

    assert standing(a, "b").lag_ms == HOUR


def test_writes_that_have_other_numbers_now_keep_their_times():
    network = pair()
    a = network["a"]
    network.cut(a)
    for n in range(3):
        network.now_ms += 60_000
        a.write(("same key", n))
    a.commit(Split(a.engine.replica.origins[OWN], 1, 12_345))

    assert (standing(a, "b").lag, standing(a, "b").lag_ms) == (2, 60_000)


def test_what_a_rewritten_log_left_out_counts_as_old_as_what_took_its_place():
    network = pair()
    a = network["a"]
    network.cut(a)
    a.write(("same key", 1))
    network.now_ms += HOUR
    a.write(("same key", 2))
    network.now_ms += 1_000
    a.write(("other key", 3))
    a.compact()
    network.now_ms += 500

    assert (standing(a, "b").lag, standing(a, "b").lag_ms) == (3, 1_500)


def test_writes_of_others_and_writes_that_are_not_here_are_counted_apart():
    network = Network("a", "b", "c")
    network.join("a", "c")
    network.run()
    network["c"].write(("c", 1), ("c2", 1))
    network.run()
    network["b"].write(("b", 1), ("b2", 1), ("b3", 1))
    network["a"].write(("a", 1))
    network.passes = lambda _from, _to, message: not isinstance(message, Batch)
    network.join("a", "b")
    network.run()

    found = standing(network["a"], "b")
    assert (found.lag, found.others_lag, found.ahead) == (1, 2, 3)
    network.passes = lambda _from, _to, _message: True
    network.advance(6_000)
    assert standing(network["a"], "b").ahead == 0


def test_of_a_peer_that_nobody_has_heard_of_since_the_start_nothing_is_claimed():
    network = pair()
    network["a"].write(("key", 1))
    network.run()
    network["a"].restart()

    found = standing(network["a"], "b")
    assert (found.others_lag, found.ahead, found.since_ms) == (None, None, None)
    assert found.lag == 0
    assert found.last_seen_ms == WALL_MS


def test_a_round_trip_is_that_of_the_last_ping():
    network = pair()
    a = network["a"]
    network.now_ms = 2_000
    a.poll()
    network.now_ms += 30
    network.deliver()
    network["b"].poll()
    network.now_ms += 40
    network.deliver()

    assert network.messages(Ping)[0] == ("a", "b")
    assert ("b", "a") in network.messages(Pong)
    assert standing(a, "b").round_trip_ms == 70


def test_an_answer_that_was_not_asked_for_is_no_round_trip():
    network = pair()
    a = network["a"]
    session = a.engine.connections.of_peer("b")
    assert session is not None
    network.now_ms = 2_000
    a.poll()
    session.hear_pong(-1_000_000, network.now_ms)

    assert standing(a, "b").round_trip_ms is None


def test_a_confirmation_takes_from_when_a_batch_left_to_its_acknowledgement():
    network = pair()
    a = network["a"]
    a.write(("key", 1))
    a.poll()
    network.now_ms += 15
    network.deliver()
    network["b"].poll()
    network.now_ms += 5
    network.deliver()

    assert standing(a, "b").confirmation_ms == 20


def test_of_a_batch_that_left_twice_nobody_knows_which_was_acknowledged():
    network = pair()
    network.passes = lambda _from, _to, message: not isinstance(message, Ack)
    a = network["a"]
    a.write(("key", 1))
    network.advance(5_500)
    network.passes = lambda _from, _to, _message: True
    network.advance(20_000)

    assert standing(a, "b").retries
    assert standing(a, "b").confirmation_ms is None


def test_a_connected_peer_is_so_since_it_greeted_and_a_lost_one_since_then():
    network = Network("a", "b")
    network.now_ms = 1_000
    link = network.join("a", "b")
    network.run()
    assert standing(network["a"], "b").since_ms == WALL_MS + 1_000

    network.now_ms = 9_000
    network.close(link)
    assert standing(network["a"], "b").since_ms == WALL_MS + 9_000


def test_who_is_connected_to_an_absent_peer_can_relay_to_it():
    network = Network("a", "b", "c")
    network.join("a", "b")
    network.join("b", "c")
    network.advance(31_000)

    assert standing(network["a"], "c").relayed_by == ("b",)
    assert standing(network["a"], "b").relayed_by == ()


def test_totals_count_what_is_new_and_what_goes_over_the_wire():
    network = pair()
    a, b = network["a"], network["b"]
    a.write(("key", 1), ("key", 2), ("other", 3))
    network.run()

    out, came = standing(a, "b").traffic, standing(b, "a").traffic
    assert (out.batches_out, out.writes_out) == (1, 3)
    assert (came.batches_in, came.writes_in) == (1, 3)
    assert came.bytes_in > 0


def test_a_batch_that_comes_twice_brings_no_new_writes():
    network = pair()
    network.passes = lambda _from, _to, message: not isinstance(message, Ack)
    network["a"].write(("key", 1))
    network.advance(5_500)

    came = standing(network["b"], "a").traffic
    assert network.messages(Batch) == [("a", "b")] * 2
    assert (came.batches_in, came.writes_in) == (2, 1)


def test_totals_do_not_fall_when_a_connection_ends_or_a_peer_is_forgotten():
    network = pair()
    a = network["a"]
    a.write(("key", 1))
    network.run()
    before = a.engine.connections.traffic()["b"]
    network.cut(a)
    assert a.engine.connections.traffic() == {"b": before}

    a.engine.connections.forget("b")
    assert a.engine.connections.traffic() == {"": before}
    assert before.batches_out == 1


def test_looking_at_a_node_changes_nothing():
    network = pair()
    a = network["a"]
    a.write(("key", 1))
    logs = dict(a.engine.replica.logs)
    for peer in ("b",):
        standing(a, peer)

    assert dict(a.engine.replica.logs) == logs
    assert a.engine.replica.logs[OWN].base == 1
    assert moment_of(a).known("nobody") is None
