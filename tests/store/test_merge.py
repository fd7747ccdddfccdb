"""The merge rule: commutative, associative, idempotent, and true to what writers saw."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from softadastra.store.clock import next_stamp, observed
from softadastra.store.index import OriginLog
from softadastra.store.origins import Origin, Origins
from softadastra.store.policies import Policy
from softadastra.store.siblings import (
    RESOLUTION,
    KeyState,
    State,
    context_of,
    merge,
    order,
    shown,
    siblings_of,
    simplest,
)

ORIGINS = Origins()
A, B, C = (ORIGINS.number(Origin(name, 1)) for name in "abc")
RANK = order(ORIGINS)


def join(ours: State | None, theirs: State | None) -> State | None:
    assert theirs is not None
    return merge(ours, theirs, had=lambda _o, _n: False, rank=RANK, policy=Policy.LAST_WRITE_WINS)[
        0
    ]


def form(state: State | None):
    return siblings_of(state), dict(context_of(state))


@st.composite
def histories(draw):
    """States that a real history makes: nodes write over what they hold, and merge others'."""
    tops = dict.fromkeys((A, B, C), 0)
    held: dict[int, State | None] = dict.fromkeys((A, B, C))
    states: list[State] = []
    for _ in range(draw(st.integers(1, 8))):
        node = draw(st.sampled_from((A, B, C)))
        if states and draw(st.booleans()):
            held[node] = join(held[node], draw(st.sampled_from(states)))
            continue
        siblings = siblings_of(held[node])
        tops[node] += 1
        stamp = max([draw(st.integers(1, 5)), *(s[2] + 1 for s in siblings)])
        context = dict(context_of(held[node]))
        for other, n, *_ in siblings:
            context[other] = max(n, context.get(other, 0))
        value = draw(st.sampled_from([b"", b"\x01", b"\x02"]))
        state = simplest(((node, tops[node], stamp, 1, value, 0),), context)
        held[node] = state
        states.append(state)
    return states


@given(histories())
def test_merge_is_idempotent(states):
    for state in states:
        assert form(join(state, state)) == form(state)


@given(histories(), st.data())
def test_merge_is_commutative_and_associative(states, data):
    a, b, c = (data.draw(st.sampled_from(states)) for _ in range(3))

    assert siblings_of(join(a, b)) == siblings_of(join(b, a))
    assert siblings_of(join(join(a, b), c)) == siblings_of(join(a, join(b, c)))


@given(histories(), st.data())
def test_whatever_the_order_of_arrival_the_same_write_stands(states, data):
    left, right = data.draw(st.permutations(states)), data.draw(st.permutations(states))
    one: State | None = None
    other: State | None = None
    for state in left:
        one = join(one, state)
    for state in right:
        other = join(other, state)

    assert siblings_of(one) == siblings_of(other)


def test_a_write_beats_what_its_writer_saw_whatever_the_clocks_say():
    seen = (A, 1, 10**9, 1, b"\x01", 0)
    write = KeyState(((B, 1, 5, 2, b"\x02", 0),), {A: 1})

    assert siblings_of(join(seen, write)) == ((B, 1, 5, 2, b"\x02", 0),)


def test_the_order_between_equal_stamps_is_by_origin_not_by_who_asks():
    first, second = (A, 1, 7, 1, b"\x01", 0), (B, 1, 7, 1, b"\x02", 0)

    assert siblings_of(join(first, second))[0] == siblings_of(join(second, first))[0] == second


def test_a_loser_goes_into_the_context():
    merged = join((A, 1, 7, 1, b"\x01", 0), (B, 1, 8, 1, b"\x02", 0))

    assert dict(context_of(merged)) == {A: 1}


def test_what_we_had_and_no_longer_hold_is_obsolete():
    late = (A, 1, 7, 1, b"\x01", 0)

    state, losers = merge(
        None, late, had=lambda o, n: (o, n) == (A, 1), rank=RANK, policy=Policy.LAST_WRITE_WINS
    )

    assert (state, losers) == (None, [])


def test_a_single_writers_key_has_no_context():
    assert simplest(((A, 5, 7, 1, b"\x01", 0),), {A: 4}) == (A, 5, 7, 1, b"\x01", 0)


def test_stamps_rise_though_the_wall_clock_falls():
    first = next_stamp(0, 1_000)

    assert next_stamp(first, 1_000) == first + 1
    assert next_stamp(first, 0) == first + 1
    assert next_stamp(first, 2_000) == 2_000 << 16


def test_a_remote_stamp_drags_the_clock_a_minute_at_most():
    year = 365 * 86_400_000 << 16

    assert observed(0, year, 0) == 60_000 << 16
    assert observed(5, 3, 0) == 5


def test_writes_beyond_a_gap_join_when_it_closes():
    log = OriginLog()
    log.add(3, "c")
    log.add(2, "b")
    assert (log.base, log.top, list(log.ranges())) == (0, 3, [(2, 3)])

    log.add(1, "a")
    log.add(1, "again")

    assert (list(log.rows()), log.beyond) == ([(1, "a"), (2, "b"), (3, "c")], {})


def test_of_several_resolutions_and_of_equal_values_the_greatest_counts_in_order():
    a, b, c = (0, 1, 1, 1, b"v", 0), (1, 1, 2, 1, b"w", 0), (2, 1, 3, 1, b"v", 0)
    low, high = (0, 2, 4, 1, b"x", RESOLUTION), (1, 2, 5, 1, b"y", RESOLUTION)

    assert shown((a,)) == (a,)
    assert shown((a, b, c)) == (b, c)
    assert shown((b, low, high)) == (b, high)
