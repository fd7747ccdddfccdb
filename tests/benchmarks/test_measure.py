"""What the benchmark makes of its measurements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .measure import Comparison, Figure, LeftOutError, Row, Side, measure
from .report import lines


def row(product: Side, bare: Side | None = None, *figures: Figure) -> Row:
    return Row(
        name="row",
        work="work",
        note="",
        count=1,
        figures=figures or (Figure(floor=0.5, aim=0.9),),
        product=product,
        bare=bare,
    )


def measured(measuring: Row, directory: Path, pairs: int = 3) -> Comparison:
    return measure(measuring, count=1, pairs=pairs, directory=directory)


def test_what_is_judged_is_the_median_of_the_ratios_of_each_pair(tmp_path: Path) -> None:
    products: Iterator[float] = iter([10.0, 40.0, 30.0])
    bares: Iterator[float] = iter([20.0, 50.0, 300.0])

    (results,) = measured(row(lambda *_: next(products), lambda *_: next(bares)), tmp_path).results

    assert results.judged == [0.5, 0.8, 0.1]
    assert (results.median, results.spread) == (0.5, (0.1, 0.8))
    assert (results.product, results.bare) == (30.0, 50.0)


def test_sides_take_turns_in_coming_first_each_in_an_empty_directory(tmp_path: Path) -> None:
    order = []

    def side(name: str) -> Side:
        def run(directory: Path, _: int) -> float:
            order.append(name)
            assert list(directory.iterdir()) == []
            (directory / name).touch()
            return 1.0

        return run

    measured(row(side("product"), side("bare")), tmp_path)

    assert order == ["product", "bare", "bare", "product", "product", "bare"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("found", "is_less_better", "expected"),
    [
        (1.0, False, "aim"),
        (0.9, False, "aim"),
        (0.6, False, "floor"),
        (0.4, False, "below"),
        (0.4, True, "aim"),
        (0.6, True, "floor"),
        (1.0, True, "below"),
    ],
)
def test_floor_and_aim_are_reached_from_their_side(
    tmp_path: Path, found: float, is_less_better: bool, expected: str
) -> None:
    floor, aim = (0.9, 0.5) if is_less_better else (0.5, 0.9)
    figure = Figure(floor=floor, aim=aim, is_less_better=is_less_better)

    (results,) = measured(row(lambda *_: found, lambda *_: 1.0, figure), tmp_path).results

    assert results.reached == expected


def test_a_floor_of_the_products_own_number_does_not_ask_the_other_side(tmp_path: Path) -> None:
    figure = Figure(unit="bytes", is_less_better=True, is_absolute=True, floor=1_500)

    (results,) = measured(row(lambda *_: 400.0, lambda *_: 1.0, figure), tmp_path).results

    assert (results.median, results.reached) == (400.0, "floor")


def test_a_row_without_another_side_has_its_own_numbers(tmp_path: Path) -> None:
    figures = (Figure(name="a", is_absolute=True), Figure(name="b", is_absolute=True))

    found = measured(row(lambda *_: {"a": 1.0, "b": 2.0}, None, *figures), tmp_path)

    assert [results.median for results in found.results] == [1.0, 2.0]
    assert [results.bare for results in found.results] == [None, None]
    assert [line.split()[:2] for line in lines(found)] == [["row", "a"], ["row", "b"]]


def test_what_cannot_be_measured_here_is_left_out_with_the_reason(tmp_path: Path) -> None:
    def bare(*_: object) -> float:
        raise LeftOutError("there is no redis-server")

    found = measured(row(lambda *_: 1.0, bare), tmp_path)

    assert (found.results, found.left_out) == ((), "there is no redis-server")
    (line,) = lines(found)
    assert line.endswith("left out: there is no redis-server")
