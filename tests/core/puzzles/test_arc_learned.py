"""Tasks of ARC that a model knows by heart: which they are, their views, and what an answer is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gram_core.errors import CheckpointError, UnknownTask
from gram_core.puzzles import BLANK, Tokens, ViewOf, task
from gram_core.puzzles.arc import Arc, ArcTask
from gram_core.puzzles.arc.learned import (
    BEYOND,
    END,
    ORIGINAL,
    TASK,
    TASKS_FILE,
    KnownTask,
    key_of,
    write_tokens,
)

ARC = Arc()
BODY: dict[str, Any] = {
    "train": [{"input": [[1, 0]], "output": [[0], [1]]}, {"input": [[3]], "output": [[3]]}],
    "test": [{"input": [[1, 2], [3, 4]]}],
}
PLAIN = "0123456789"
TURNS = [
    ("t1", [[2, 4], [1, 3]]),
    ("t2", [[4, 3], [2, 1]]),
    ("t3", [[3, 1], [4, 2]]),
    ("t4", [[2, 1], [4, 3]]),
    ("t5", [[3, 4], [1, 2]]),
    ("t6", [[1, 3], [2, 4]]),
    ("t7", [[4, 2], [3, 1]]),
]


def posted(**changes: Any) -> ArcTask:
    return ARC.parse({**BODY, **changes})


def seen(instance: ArcTask, folder: Path, *views: str) -> tuple[Tokens, ViewOf]:
    """Return the tokens of a task that a model has learned as vectors 40 and on, and its views."""
    known = {key_of(posted().pairs): KnownTask(40, [ORIGINAL, *views])._asdict()}
    folder.mkdir(exist_ok=True)
    (folder / TASKS_FILE).write_text(json.dumps(known))
    encoded, view = ARC.seen(instance, TASK, seed=0, folder=folder)
    return encoded.tokens, view


def board(tokens: Tokens) -> Tokens:
    return tokens.reshape(61, 30)


def test_a_question_is_the_test_grid_with_its_borders_and_the_number_of_the_vector(
    tmp_path: Path,
) -> None:
    tokens, view = seen(posted(), tmp_path)
    assert board(tokens)[:3, :3].tolist() == [[3, 4, END], [5, 6, END], [END, END, BEYOND]]
    assert (board(tokens)[:30] == BEYOND).sum() == 900 - 8
    assert (board(tokens)[30:60] == BLANK).all()
    assert (board(tokens)[60] - 2).tolist() == [0] * 28 + [4, 0]
    assert view(0) is None
    assert task(TASK.name) == TASK


@pytest.mark.parametrize(("turn", "grid"), TURNS)
def test_a_view_turns_grids_and_names_its_own_vector(
    turn: str, grid: list[list[int]], tmp_path: Path
) -> None:
    instance = posted()
    # 1 becomes 9, 9 becomes 1.
    tokens, view = seen(instance, tmp_path / turn, turn + PLAIN, turn + "0923456781")
    named = [[{1: 9}.get(color, color) for color in row] for row in grid]
    for trajectory, expected in ((1, grid), (2, named), (4, grid)):
        look = view(trajectory)
        assert look is not None
        there = look.apply(tokens)
        assert board(there)[:2, :2].tolist() == [[color + 2 for color in row] for row in expected]
        assert int("".join(map(str, board(there)[60] - 2))) == 40 + trajectory % 3
        assert np.array_equal(look.invert(there), tokens)
        # An answer has another shape than the question, and lies at the upper left too.
        answer = write_tokens(instance.test, ((1, 2, 3),), 40)
        assert np.array_equal(look.invert(look.apply(answer)), answer)


def test_an_answer_is_the_largest_grid_at_the_upper_left_whatever_lies_beyond() -> None:
    instance = posted()
    answer = write_tokens(instance.test, ((5, 6), (7, 8)), 0)
    cells = board(answer)
    cells[40, 3] = 9
    # A row that is longer than the ones above it adds nothing.
    cells[31, 2:6] = 9
    cells[32, 0] = 9
    assert ARC.decode(instance, answer) == [[5, 6], [7, 8]]
    assert ARC.check(instance, answer)
    clean = write_tokens(instance.test, ((5, 6), (7, 8)), 0)
    assert ARC.canonical(instance, answer) == ARC.canonical(instance, clean)
    # A column of five is larger than two by two; one of four is not.
    for height, grid in ((4, [[5, 6], [7, 8]]), (5, [[5], [7], [7], [7], [7]])):
        cells[32 : 30 + height, 0] = 9
        assert ARC.decode(instance, answer) == grid


def test_what_begins_with_no_color_or_answers_another_grid_is_no_answer() -> None:
    instance = posted()
    empty = write_tokens(instance.test, ((5,),), 0)
    board(empty)[30, 0] = END
    other = write_tokens(((9,),), ((5,),), 0)
    assert ARC.decode(instance, empty) == []
    for tokens, rule in ((empty, "the output is no rectangle of colors"), (other, "given")):
        assert not ARC.check(instance, tokens)
        assert [each.rule for each in ARC.violations(instance, tokens)] == [rule]


def test_a_task_is_known_by_its_pairs_in_any_order_and_by_no_others(tmp_path: Path) -> None:
    first, second = BODY["train"]
    again = posted(train=[second, first], test=[{"input": [[5]]}])
    tokens, _ = seen(again, tmp_path)
    assert board(tokens)[0, :2].tolist() == [7, END]
    with pytest.raises(UnknownTask, match="knows 1 tasks by heart, of which this is none"):
        seen(posted(train=[first]), tmp_path)
    with pytest.raises(CheckpointError, match="import it again"):
        ARC.seen(again, TASK, seed=0, folder=tmp_path / "none")


def test_a_model_that_has_learned_tasks_takes_those_of_every_size() -> None:
    small = posted()
    padding = ARC.pad(small, TASK)
    assert padding is not None
    assert ARC.task_of(padding.instance) == TASK
    assert np.array_equal(ARC.encode(padding.instance).tokens, write_tokens(small.test, None, 0))
    answer = write_tokens(small.test, ((1,) * 30,) * 30, 0)
    # Of an answer that is larger than the canvas of what was posted nothing is cut.
    assert ARC.decode(small, padding.cut(answer)) == [[1] * 30] * 30
    made = ARC.generate(TASK, np.random.default_rng(0))
    assert ARC.check(made, ARC.fill(made, ((1,),)))
