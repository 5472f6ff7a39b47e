"""Tasks of ARC-AGI: one canvas for all grids, which every view keeps, and answers without rules."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_core.errors import ExactUnavailable, PuzzleInvalid
from gram_core.puzzles import BLANK, Encoded, Tokens, family, task
from gram_core.puzzles.arc import Arc, ArcTask

ARC = Arc()
WIDE = [[1, 0, 2]]
TALL = [[1], [0], [2]]
BODY: dict[str, Any] = {
    "train": [{"input": WIDE, "output": TALL}, {"input": [[3]], "output": [[3]]}],
    "test": [{"input": [[4, 5]]}],
}
ANSWER = ((4,), (5,))


def read(**changes: Any) -> ArcTask:
    return ARC.parse({**BODY, **changes})


def filled(tokens: Tokens, instance: ArcTask, **cells: int) -> Tokens:
    """Return tokens with other ones at cells of the output, such as r0c1."""
    shape = ARC.task_of(instance)
    board = tokens.copy().reshape(4, shape.size, 2, shape.size)
    for place, token in cells.items():
        board[3, int(place[1]), 1, int(place[3])] = token
    return board.reshape(-1)


def test_the_answer_is_read_where_the_canvas_was_blank() -> None:
    instance = read()
    assert ARC.task_of(instance).name == "arc-3x3"
    tokens, answer = ARC.encode(instance).tokens, ARC.fill(instance, ANSWER)
    assert (tokens == BLANK).sum() == 9
    assert np.array_equal(answer[tokens != BLANK], tokens[tokens != BLANK])
    assert ARC.decode(instance, answer) == [[4], [5]]
    assert ARC.check(instance, answer)
    assert ARC.violations(instance, answer) == []


def test_an_output_that_is_no_rectangle_of_colors_is_no_answer() -> None:
    instance = read()
    answer = ARC.fill(instance, ANSWER)
    outside, color = 23, 13
    for wrong in (
        filled(answer, instance, r0c0=outside, r1c0=outside),
        filled(answer, instance, r0c2=color),
        filled(answer, instance, r0c0=2),
        ARC.encode(instance).tokens,
    ):
        assert not ARC.check(instance, wrong)
        (violation,) = ARC.violations(instance, wrong)
        assert len(violation.cells) == 9
    # A cell without a color is shown as such.
    assert ARC.decode(instance, filled(answer, instance, r0c1=color)) == [[4, 0], [5, None]]
    assert ARC.decode(instance, filled(answer, instance, r0c0=outside, r1c0=outside)) == []


def test_an_answer_that_changes_what_was_posted_is_refused() -> None:
    instance = read()
    answer = ARC.fill(instance, ANSWER)
    answer[0] += 1
    assert not ARC.check(instance, answer)
    assert [violation.rule for violation in ARC.violations(instance, answer)] == ["given"]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_view_shows_the_same_task_turned_and_renamed(seed: int) -> None:
    instance = read()
    shape, rng = ARC.task_of(instance), np.random.default_rng(seed)
    tokens, answer = ARC.encode(instance).tokens, ARC.fill(instance, ANSWER)
    for view in ARC.symmetries(shape, rng, 4):
        assert sorted(view.positions) == list(range(shape.length))
        seen = view.apply(answer)
        assert np.array_equal(view.invert(seen), answer)
        # Black and what lies outside of a grid stay, and the test grid stays the last.
        assert view.values[[0, 1, 2, 12, 13, 23]].tolist() == [0, 1, 2, 12, 13, 23]
        assert (view.values[2:12] + 11 == view.values[13:23]).all()
        there = ARC.instance_of(shape, Encoded(view.apply(tokens)))
        assert ARC.check(there, seen)
        names = {
            color: int(view.values[color + 2]) - 2
            for pair in instance.pairs
            for grid in pair
            for row in grid
            for color in row
        }
        sizes = {(len(one), len(one[0]), len(two), len(two[0])) for one, two in there.pairs}
        assert sizes <= {(1, 3, 3, 1), (3, 1, 1, 3), (1, 1, 1, 1)}
        shown = {color for pair in there.pairs for grid in pair for row in grid for color in row}
        assert shown == set(names.values())


def test_a_task_on_a_larger_canvas_has_the_same_answer() -> None:
    instance, larger = read(), task("arc-5x5")
    padding = ARC.pad(instance, larger)
    assert padding is not None
    answer = ARC.fill(padding.instance, ANSWER)
    assert answer.shape == (larger.length,)
    assert np.array_equal(padding.cut(answer), ARC.fill(instance, ANSWER))
    assert ARC.pad(padding.instance, task("arc-4x4")) is None


def test_only_the_first_pairs_are_seen_but_all_are_kept() -> None:
    pairs = [{"input": [[color]], "output": [[color]]} for color in range(4)]
    pairs.append({"input": [[0] * 20], "output": [[0]]})
    instance = read(train=pairs)
    assert ARC.task_of(instance).name == "arc-2x2"
    assert ARC.dump(instance)["train"] == pairs
    assert ARC.parse(ARC.dump(instance)) == instance


def test_published_outputs_of_test_grids_are_ignored_and_one_grid_is_chosen() -> None:
    tests = [{"input": [[4, 5]], "output": [[9]]}, {"input": [[6]], "output": [[9]]}]
    assert read(test=tests[:1]) == read()
    assert read(test=tests, test_index=0) == read()
    assert read(test=tests, test_index=1).test == ((6,),)


@pytest.mark.parametrize(
    ("changes", "field", "detail"),
    [
        ({"train": []}, "train", "is empty"),
        ({"train": None}, "train", "must be a list, not null"),
        ({"train": [[]]}, "train[0]", "must be an object"),
        ({"train": [{"input": WIDE}]}, "train[0].output", "must be a list, not null"),
        ({"test": [{"input": []}]}, "test[0].input", "is empty"),
        ({"test": [{"input": [[]]}]}, "test[0].input[0]", "has 0 cells"),
        ({"test": [{"input": [[1, 2], [3]]}]}, "test[0].input[1]", "has 1 cells"),
        ({"test": [{"input": [[10]]}]}, "test[0].input[0]", "must be between 0 and 9, not 10"),
        ({"test": [{"input": [[True]]}]}, "test[0].input[0]", "must be an integer, not true"),
        ({"test": [{"input": [[0]] * 31}]}, "test[0].input", "at most 30 are possible"),
        ({"test": BODY["test"] * 2}, "test_index", "is missing: test has 2 grids"),
        ({"test_index": 1}, "test_index", "must be between 0 and 0, not 1"),
        ({"grid": []}, "grid", "is not a field of arc"),
    ],
)
def test_a_malformed_task_is_told_where(changes: dict[str, Any], field: str, detail: str) -> None:
    with pytest.raises(PuzzleInvalid) as refusal:
        read(**changes)
    issue = refusal.value.issues[0]
    assert issue.field == field
    assert detail in issue.detail


def test_nothing_verifies_and_nothing_searches() -> None:
    assert [name for name in ("sudoku", "arc") if not family(name).has_verifier] == ["arc"]
    with pytest.raises(ExactUnavailable, match="arc has no rules to search by"):
        ARC.enumerate(read(), limit=1)


def test_a_made_task_fills_its_canvas() -> None:
    shape = task("arc-4x4")
    made = ARC.generate(shape, np.random.default_rng(0))
    assert ARC.task_of(made) == shape
    assert len(made.pairs) == 3
