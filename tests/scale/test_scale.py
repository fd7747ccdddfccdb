"""What docs/scale.md says of clusters of ten nodes is so; those of 1,000 take minutes."""

from __future__ import annotations

import math
import re

import pytest

from .everyone import Pair, measure_everyone, nodes_max
from .phases import BURST_WRITES, Result, measure
from .report import DOCUMENT, section_of, tables
from .topology import Topology

COUNT = 10
INTERVAL_MAX_MS = 40_000
"""30 s and a third more, and some round trips."""


@pytest.fixture(scope="module")
def results():
    return {topology: measure(topology, COUNT) for topology in Topology}


def rows_of_ten_nodes(generated: str) -> list[str]:
    """The rows of all tables but that of memory, which differs between versions of Python."""
    measured = generated.partition("### Memory")[0]
    return re.findall(rf"^\| (?:[a-z][^|]*\| )?{COUNT} \|.*$", measured, re.MULTILINE)


def test_the_tables_of_the_document_are_what_is_measured(results):
    """When this fails because a message has changed, `make scale` writes the document anew."""
    measured = rows_of_ten_nodes(tables(list(results.values()), [measure_everyone(COUNT)], []))

    assert rows_of_ten_nodes(section_of(DOCUMENT.read_text())) == measured
    assert len(measured) == 5 * len(Topology) + 1


def test_in_a_full_mesh_a_write_is_sent_about_once_to_each_node(results):
    mesh: Result = results[Topology.MESH]

    assert mesh.write.batches <= 1.3 * (COUNT - 1)
    assert mesh.burst.copies <= 1.3 * (COUNT - 1) * BURST_WRITES


def test_in_a_ring_a_write_goes_once_over_each_link_and_twice_where_it_meets_itself(results):
    ring: Result = results[Topology.RING]

    assert ring.quiet.links <= ring.write.batches <= ring.quiet.links + 1
    assert ring.burst.copies <= BURST_WRITES * (ring.quiet.links + 1)


def test_in_a_star_a_write_is_sent_exactly_once_to_each_node(results):
    star: Result = results[Topology.STAR]

    assert star.write.batches == COUNT - 1
    assert star.burst.copies == BURST_WRITES * (COUNT - 1)


def test_by_a_random_graph_a_write_goes_over_each_link_once_or_twice(results):
    """Both ends of a link send it when neither has heard the other; along its way it goes once."""
    random: Result = results[Topology.RANDOM]

    assert COUNT - 1 <= random.write.batches <= 2 * random.quiet.links - (COUNT - 1)


@pytest.mark.parametrize("topology", Topology)
def test_a_write_takes_half_a_round_trip_a_link(results, topology):
    """Delays are up to half above the mean, and less than the shortest way is never needed."""
    result: Result = results[topology]

    assert result.write.round_trips <= result.graph.diameter * 0.5 * 1.5


@pytest.mark.parametrize("topology", Topology)
def test_a_write_is_followed_by_no_have(results, topology):
    """Who may get it from its origin too is told by an acknowledgement that names the origin."""
    result: Result = results[topology]

    assert result.write.haves == result.burst.haves == 0


def test_in_a_full_mesh_a_write_alone_is_acknowledged_between_every_two_who_got_it(results):
    """What docs/scale.md names as quadratic: (n - 1) to the writer, the others to each other."""
    mesh: Result = results[Topology.MESH]

    assert mesh.write.acks == (COUNT - 1) ** 2
    assert mesh.write.ack_bytes <= 32 * mesh.write.acks


@pytest.mark.parametrize("topology", Topology)
def test_a_newcomer_gets_each_key_once_however_many_neighbours_it_has(results, topology):
    result: Result = results[topology]

    assert result.join_of_all is not None
    assert 1 <= result.join.copies_a_key <= 1.02
    assert 1 <= result.join_of_all.copies_a_key <= 1.02
    assert result.join.oversized == 0


def test_a_greeting_has_23_bytes_for_each_node_that_has_written():
    few, many = measure_everyone(10), measure_everyone(60)

    assert (many.hello_bytes - few.hello_bytes) / 50 == pytest.approx(23, abs=0.1)
    assert (many.have_bytes - few.have_bytes) / 50 == pytest.approx(23, abs=0.1)


@pytest.mark.parametrize(("count", "haves"), [(116, 1), (117, 2), (300, 7)])
def test_of_more_others_than_one_have_tells_of_each_is_told_before_any_is_told_of_twice(
    count, haves
):
    everyone = measure_everyone(count)

    assert everyone.haves_until_all == haves == math.ceil((count - 2) / everyone.told)


@pytest.mark.parametrize("writers", [1, 100, None])
def test_a_have_tells_of_all_others_up_to_so_many_nodes_and_then_of_a_part(writers):
    most = nodes_max(writers)
    fits, fails = measure_everyone(most, writers), measure_everyone(most + 1, writers)

    assert fits.told == most - 2
    assert fails.told < most - 1
    assert fits.is_accepted
    assert fails.is_accepted


def test_of_300_nodes_that_have_all_written_two_compare_and_repair_by_have_within_40_seconds():
    """What others have is told in part, so that no HAVE is too long to be sent."""
    pair = Pair(300)

    assert pair.run(INTERVAL_MAX_MS)["Have"] >= 2

    pair.write_unsent()
    assert pair.run(1_000)["Batch"] == 0
    assert pair.run(INTERVAL_MAX_MS)["Batch"] == 1
    assert pair.is_equal

    pair.lose_entry()
    assert not pair.is_equal
    assert pair.run(INTERVAL_MAX_MS)["SnapshotBegin"] >= 1
    assert pair.is_equal
    assert not pair.cluster.oversized
