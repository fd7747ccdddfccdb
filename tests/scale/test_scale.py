"""What docs/scale.md says of clusters of ten nodes is so; those of 1,000 take minutes."""

from __future__ import annotations

import re

import pytest

from softadastra.sync.parsing import MEMBERS_MAX

from .everyone import have_about_all, is_accepted, measure_everyone
from .phases import BURST_WRITES, Result, measure
from .report import DOCUMENT, section_of, tables
from .topology import Topology

COUNT = 10


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
def test_a_newcomer_gets_everything_about_once_from_each_neighbour(results, topology):
    join = results[topology].join

    assert 0.8 * join.links <= join.copies / join.keys <= join.links
    assert join.oversized == 0


def test_in_a_full_mesh_a_write_alone_is_followed_by_a_have_between_every_two_others(results):
    """What docs/scale.md names as quadratic: the test is to change with the engine."""
    mesh: Result = results[Topology.MESH]

    assert mesh.write.haves == (COUNT - 1) * (COUNT - 2)


def test_a_greeting_has_23_bytes_for_each_node_that_has_written():
    few, many = measure_everyone(10), measure_everyone(60)

    assert (many.hello_bytes - few.hello_bytes) / 50 == pytest.approx(23, abs=0.1)
    assert (many.have_bytes - few.have_bytes) / 50 == pytest.approx(23, abs=0.1)


@pytest.mark.parametrize(("nodes", "writers"), [(MEMBERS_MAX + 2, 1), (238, None)])
def test_a_have_about_all_is_accepted_up_to_so_many_nodes(nodes, writers):
    """The reader takes 1,024 others, itself and the sender not counted, and a link 1.25 MiB."""
    assert is_accepted(have_about_all(nodes, writers))
    assert not is_accepted(have_about_all(nodes + 1, writers))
