"""When the network is asked."""

from __future__ import annotations

from softadastra.discovery.questions import Questions


def waits(questions: Questions, count: int) -> list[int]:
    found = []
    for _ in range(count):
        now_ms = questions.due_ms
        questions.asked(now_ms)
        found.append(questions.due_ms - now_ms)
    return found


def test_each_wait_is_twice_as_long_up_to_half_an_hour() -> None:
    questions = Questions(1_000, chance=0.0)

    assert questions.due_ms == 1_020
    assert waits(questions, 4) == [1_000, 2_000, 4_000, 8_000]
    assert waits(questions, 9)[-2:] == [1_800_000, 1_800_000]


def test_machines_that_start_together_do_not_ask_together() -> None:
    assert Questions(0, chance=1.0).due_ms == 120


def test_another_network_is_asked_at_once() -> None:
    questions = Questions(0, chance=0.0)
    waits(questions, 10)

    questions.restart(500_000, chance=0.5)

    assert questions.due_ms == 500_070
    assert waits(questions, 2) == [1_000, 2_000]


def test_doubt_brings_a_question_forward_but_not_often() -> None:
    questions = Questions(0, chance=0.0)
    waits(questions, 8)
    asked_ms = questions.due_ms - 128_000
    questions.ask_soon(asked_ms + 1)
    assert questions.due_ms == asked_ms + 10_000

    questions.asked(asked_ms + 10_000)
    for now_ms in range(asked_ms + 10_001, asked_ms + 20_000, 100):
        questions.ask_soon(now_ms)
    assert questions.due_ms == asked_ms + 20_000

    questions.ask_soon(asked_ms + 500_000)
    assert questions.due_ms == asked_ms + 20_000
