from collections import Counter

import pytest

from gram_core import puzzles
from gram_lab.bench.questions import Share, draw_questions, read_mix
from gram_server.errors import ConfigError


def test_a_mix_names_tasks_widths_and_weights() -> None:
    assert read_mix("sudoku-4x4:1-64=3, nqueens-8:5") == (
        Share(task="sudoku-4x4", widths=(1, 2, 4, 8, 16, 32, 64), weight=3.0),
        Share(task="nqueens-8", widths=(5,), weight=1.0),
    )


@pytest.mark.parametrize("text", ["", "sudoku-4x4:x", ":4", "sudoku-4x4:4=0", "a:3-3x", "a:5-7"])
def test_a_mix_that_cannot_be_read_says_how_one_looks(text: str) -> None:
    with pytest.raises(ConfigError, match="sudoku-9x9:1-64=2"):
        read_mix(text)


@pytest.mark.slow
def test_questions_follow_the_weights_and_can_be_parsed() -> None:
    mix = read_mix("nqueens-5:2-8=3,nqueens-6:1=1")
    questions = draw_questions(mix, 400, seed=3)
    counts = Counter(question.task for question in questions)
    assert counts["nqueens-5"] == pytest.approx(300, abs=30)
    assert {question.width for question in questions} == {1, 2, 4, 8}
    assert len({question.seed for question in questions}) == 400
    for question in questions[:20]:
        family = puzzles.family(puzzles.task(question.task).family)
        assert family.task_of(family.parse(question.body)).name == question.task
