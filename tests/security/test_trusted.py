"""The list of trusted keys: one key a node, one node a key, and what people wrote stays."""

from __future__ import annotations

import pytest

from softadastra.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from softadastra.security.trusted import Trusted

from .samples import public_key

TEXT = f"""\
# friends
{public_key(1)} till

{public_key(2)} the office, upstairs
"""


def test_a_list_is_read_by_lines_and_written_as_it_was() -> None:
    trusted = Trusted.parse(TEXT)

    assert trusted.by_node == {"till": public_key(1), "the office, upstairs": public_key(2)}
    assert trusted.by_key == {public_key(1): "till", public_key(2): "the office, upstairs"}
    assert str(trusted) == TEXT


def test_a_node_that_is_added_or_removed_leaves_the_other_lines_as_they_are() -> None:
    added = Trusted.parse(TEXT).pinned("shop", public_key(3))

    assert str(added) == f"{TEXT}{public_key(3)} shop\n"
    assert str(added.without("shop")) == TEXT
    assert str(added.without("till")).startswith("# friends\n\n")


def test_an_empty_list_trusts_nobody_and_says_what_it_is() -> None:
    assert not Trusted.nobody().by_node
    assert str(Trusted.nobody()).startswith("# ")


def test_a_name_that_is_pinned_is_never_given_another_key() -> None:
    """Whoever takes a name over comes with another key."""
    trusted = Trusted.parse(TEXT)
    with pytest.raises(AlreadyExistsError) as caught:
        trusted.pinned("till", public_key(9))

    assert public_key(1).fingerprint in caught.value.message
    assert public_key(9).fingerprint in caught.value.message
    assert caught.value.context["expected"] == public_key(1).fingerprint
    assert caught.value.context["seen"] == public_key(9).fingerprint


def test_a_key_belongs_to_one_node() -> None:
    with pytest.raises(AlreadyExistsError, match="is that of node 'till'"):
        Trusted.parse(TEXT).pinned("shop", public_key(1))


def test_to_pin_again_changes_nothing() -> None:
    trusted = Trusted.parse(TEXT)

    assert trusted.pinned("till", public_key(1)) is trusted


def test_who_is_not_trusted_cannot_be_removed() -> None:
    with pytest.raises(NotFoundError, match="'shop'"):
        Trusted.parse(TEXT).without("shop")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense till", "line 1: cannot read public key 'nonsense'"),
        (f"{public_key(1)}", "line 1: no node can be called ''"),
        (f"{public_key(1)} a\tb", "line 1: no node can be called"),
        (f"{public_key(1)} {'x' * 256}", "line 1: no node can be called"),
        (f"{public_key(1)} a\n{public_key(2)} a", "line 2: the node 'a' or its key"),
        (f"{public_key(1)} a\n\n{public_key(1)} b", "line 3: the node 'b' or its key"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_the_whole_list_refused(
    line: str, problem: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Trusted.parse(line)

    assert caught.value.message.startswith(problem)


@pytest.mark.parametrize("node_id", ["", "a\nb", "x" * 256])
def test_no_name_can_forge_a_line(node_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="no node can be called"):
        Trusted.nobody().pinned(node_id, public_key(1))
