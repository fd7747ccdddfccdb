"""The picture of the demo: equal states look equal, and it fits a narrow terminal."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from softadastra.cli.demo_view import NodeView, StateStrip, draw
from softadastra.testing import ProcessState

NODE = NodeView(
    node_id="node-a",
    state=ProcessState.RUNNING,
    keys=155_063,
    outbox=155_063,
    queued=155_063,
    in_flight=1_024,
    digest="0123456789abcdef" * 2,
)
OTHER_DIGEST = "fedcba9876543210" * 2
WIDTH = 60


def printed(moments: list[list[NodeView]], width: int = WIDTH) -> list[str]:
    strip = StateStrip(has_block=False)
    for views in moments:
        strip.add(views)
    file = io.StringIO()
    Console(file=file, width=width).print(draw(moments[-1], strip, width=width))
    return file.getvalue().splitlines()


def cells(lines: list[str]) -> list[str]:
    """The strips: the last lines, one a node."""
    return [line.split()[1] for line in lines[-2:]]


def test_all_numbers_are_whole_on_sixty_columns() -> None:
    lines = printed([[NODE, replace(NODE, node_id="node-b")]])

    row = next(line for line in lines if line.startswith("node-b"))
    assert row.split() == [
        "node-b", "running", "155063", "155063", "155063", "1024", "01234567"
    ]  # fmt: skip
    assert max(map(len, lines)) <= WIDTH


def test_forty_columns_show_what_matters_whole() -> None:
    lines = printed([[NODE, replace(NODE, node_id="node-b")]], width=40)

    row = next(line for line in lines if line.startswith("node-b"))
    assert row.split() == ["node-b", "running", "155063", "01234567"]
    assert max(map(len, lines)) <= 40


def test_nodes_of_one_state_have_one_letter_and_others_another() -> None:
    ahead = replace(NODE, digest=OTHER_DIGEST)
    behind = replace(NODE, node_id="node-b")

    lines = printed(
        [[NODE, behind], [ahead, behind], [ahead, replace(behind, digest=ahead.digest)]]
    )

    assert cells(lines) == ["abb", "aab"]


def test_paused_and_killed_nodes_are_marked_and_have_no_numbers() -> None:
    paused = NodeView(node_id="node-a", state=ProcessState.PAUSED)
    killed = NodeView(node_id="node-b", state=ProcessState.KILLED)

    lines = printed([[paused, killed]])

    assert cells(lines) == ["-", "!"]
    assert any(line.split() == ["node-b", "killed", *"-----"] for line in lines)


def test_a_long_story_is_shown_from_its_first_moment_to_its_last() -> None:
    middle = replace(NODE, digest=OTHER_DIGEST)
    last = replace(NODE, digest="0" * 32)
    moments = [[NODE], *[[middle]] * 1000, [last]]

    line = printed([[view, replace(view, node_id="node-b")] for (view,) in moments])[-1]

    strip = line.split()[1]
    assert len(line) == WIDTH
    assert strip == "a" + "b" * (len(strip) - 2) + "c"


def test_blocks_have_the_colour_of_the_digest() -> None:
    strip = StateStrip(has_block=True)
    other = replace(NODE, digest=OTHER_DIGEST)
    strip.add([NODE, replace(other, node_id="node-b")])

    assert [line.plain.split()[1] for line in strip.lines(WIDTH)] == ["█", "█"]
    assert strip.style(NODE) == strip.style(replace(NODE, node_id="node-b"))
    assert strip.style(NODE) != strip.style(other)


def test_a_state_that_stays_never_shares_its_colour_with_another_at_the_same_moment() -> None:
    strip = StateStrip(has_block=True)
    still = replace(NODE, node_id="node-b", digest=OTHER_DIGEST)
    for number in range(100):
        moving = replace(NODE, digest=f"{number:032x}")
        strip.add([moving, still])

        assert strip.style(moving) != strip.style(still)
