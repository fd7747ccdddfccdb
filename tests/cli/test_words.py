"""Lines are read as shells read them, finished or not, and what completes one is read the same."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softadastra.cli.words import completed, split_line, unfinished
from softadastra.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ([], "", 0, "")),
        ("store pu", (["store"], "pu", 6, "")),
        ("store put ", (["store", "put"], "", 10, "")),
        ("get 'my k", (["get"], "my k", 4, "'")),
        ('get "my \\"k', (["get"], 'my "k', 4, '"')),
        ("get my\\ k", (["get"], "my k", 4, "")),
        ("get 'a'b", (["get"], "ab", 4, "")),
        ("put '' x", (["put", ""], "x", 7, "")),
    ],
)
def test_a_line_is_read_up_to_where_it_is_typed(
    line: str, expected: tuple[list[str], str, int, str]
) -> None:
    assert tuple(unfinished(line)) == expected


@pytest.mark.parametrize("line", ["put 'x", 'put "x', "put x\\"])
def test_a_line_without_an_end_is_refused_with_what_to_do(line: str) -> None:
    with pytest.raises(InvalidArgumentError, match="put a backslash before a quote"):
        split_line(line)


TEXTS = st.text(st.sampled_from("ab \t'\"\\#$é"), min_size=1)


@given(words=st.lists(TEXTS), quote=st.sampled_from(["", "'", '"']))
def test_what_completes_a_line_is_read_as_the_word_that_was_meant(
    words: list[str], quote: str
) -> None:
    line = " ".join(completed(word, quote) for word in words)

    assert split_line(line) == words


@given(line=st.text(st.sampled_from("ab '\"\\"), max_size=12))
def test_finished_words_are_those_of_the_whole_line(line: str) -> None:
    found = unfinished(line)
    try:
        whole = shlex.split(line)
    except ValueError:
        return
    is_begun = bool(line[found.start :])

    assert [*found.words, *([found.begun] if is_begun else [])] == whole
