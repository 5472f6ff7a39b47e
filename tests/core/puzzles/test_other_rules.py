"""Families with rules of the instance: check, violations and CP-SAT against brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_core.errors import PuzzleInvalid
from gram_core.puzzles import BLANK, FIRST_VALUE, AnyFamily, Tokens, family, task

TASKS = ["futoshiki-3x3", "futoshiki-5x5", "light-up-3x4", "light-up-7x7", "jigsaw-6x6"]
MADE_BY_SGT = [
    ("futoshiki", "5:0R,0R,0,0,0,0,0D,0,0U,0,0,0R,0,0,0,0,0,3,0R,0U,0,0U,0,0,3,"),
    ("futoshiki", "5:0,0,0,0,0L,0D,0L,3D,0,0,0,0,0D,0,0,0,0U,0,0,3,0,0,0,0,0U,"),
    ("light-up", "7x7:b11p2Bb0b01pBBb"),
    ("light-up", "7x7:a2i0a1aBh2h0a2a2i1a"),
    ("jigsaw", "6j:3_1a6b6v1b2a6_4,adaa__b_a_a_cadbdd____baab"),
    ("jigsaw", "6j:e3b3f2_5b6_2f5b4e,ae_a_bb___b__ace_a___aaaabac"),
]
"""Game IDs of Debian's sgt-puzzles, which have one solution each."""
TWICE = [[[0, 0], [0, 1], [0, 2]], [[1, 0], [1, 1], [1, 2]], [[2, 0], [2, 1], [0, 0]]]
SEEDS = st.integers(0, 2**32 - 1)


def every_answer(puzzle: AnyFamily, instance: object, num_values: int) -> list[Tokens]:
    """Fill the open cells in every way, with none of the product's rules."""
    givens = puzzle.encode(instance).tokens
    is_open = givens == BLANK
    lowest = BLANK if puzzle.task_of(instance).allows_blank else FIRST_VALUE
    answers = []
    for tokens in product(range(lowest, FIRST_VALUE + num_values), repeat=int(is_open.sum())):
        answers.append(givens.copy())
        answers[-1][is_open] = tokens
    return answers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_values"), [("futoshiki-3x3", 3), ("light-up-3x4", 1), ("jigsaw-3x3", 3)]
)
@given(seed=SEEDS)
@settings(max_examples=8)
def test_exact_answers_are_those_of_brute_force(name: str, num_values: int, seed: int) -> None:
    shape = task(name)
    puzzle = family(shape.family)
    instance = puzzle.generate(shape, np.random.default_rng(seed), num_solutions=None)
    answers = every_answer(puzzle, instance, num_values)
    expected = {answer.tobytes() for answer in answers if puzzle.check(instance, answer)}
    found = [answer.tobytes() for answer in puzzle.enumerate(instance, limit=10_000)]
    assert len(found) == len(expected) > 0
    assert set(found) == expected


def test_regions_of_a_made_jigsaw_are_seldom_rows() -> None:
    shape = task("jigsaw-9x9")
    for seed in range(3):
        made = family("jigsaw").generate(shape, np.random.default_rng(seed), num_solutions=None)
        regions = np.array(made.regions).reshape(9, 9)
        assert sum(len(set(row.tolist())) == 1 for row in regions) <= 2


@pytest.mark.parametrize(
    ("rows", "is_valid"), [(["123", "312", "231"], True), (["123", "231", "312"], False)]
)
def test_a_region_of_a_jigsaw_holds_every_digit_once(rows: list[str], is_valid: bool) -> None:
    puzzle = family("jigsaw")
    instance = puzzle.parse({"grid": ["..."] * 3, "regions": ["aab", "acb", "ccb"]})
    answer = np.array([BLANK + int(digit) for digit in "".join(rows)])
    assert puzzle.check(instance, answer) == is_valid
    assert (puzzle.violations(instance, answer) == []) == is_valid


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
@given(seed=SEEDS)
@settings(max_examples=8)
def test_a_made_board_has_one_answer_and_whatever_differs_is_refused(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = task(name)
    puzzle = family(shape.family)
    instance = puzzle.generate(shape, rng)
    (solution,) = puzzle.enumerate(instance, limit=2)
    assert puzzle.check(instance, solution)
    assert puzzle.violations(instance, solution) == []
    for _ in range(20):
        answer = solution.copy()
        cells = rng.integers(shape.length, size=int(rng.integers(1, 3)))
        answer[cells] = rng.integers(shape.vocabulary + 2, size=len(cells))
        is_same = bool((answer == solution).all())
        assert puzzle.check(instance, answer) == is_same
        assert (puzzle.violations(instance, answer) == []) == is_same


@pytest.mark.parametrize("name", TASKS)
@given(seed=SEEDS)
@settings(max_examples=8)
def test_instances_come_back_from_bodies_tokens_and_views(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = task(name)
    puzzle = family(shape.family)
    instance = puzzle.generate(shape, rng)
    assert puzzle.task_of(instance) == shape
    assert puzzle.parse(puzzle.dump(instance)) == instance
    encoded = puzzle.encode(instance)
    assert puzzle.instance_of(shape, encoded) == instance
    symmetry = puzzle.symmetry(shape, rng)
    tokens = rng.integers(shape.vocabulary, size=(3, shape.length)).astype(np.uint8)
    assert (symmetry.invert(symmetry.apply(tokens)) == tokens).all()
    assert sorted(symmetry.values) == list(range(shape.vocabulary))
    view = puzzle.instance_of(shape, encoded.through(symmetry))
    assert puzzle.parse(puzzle.dump(view)) == view
    answer = rng.integers(BLANK, shape.vocabulary, size=shape.length).astype(np.uint8)
    answer = np.where(encoded.tokens == BLANK, answer, encoded.tokens)
    seen = symmetry.apply(answer)
    assert len(puzzle.violations(instance, answer)) == len(puzzle.violations(view, seen))
    for solution in puzzle.enumerate(instance, limit=1):
        assert puzzle.check(view, symmetry.apply(solution))


@pytest.mark.parametrize(("name", "text"), MADE_BY_SGT)
def test_a_board_of_sgt_puzzles_is_read_and_has_one_answer_that_is_drawn(
    name: str, text: str
) -> None:
    puzzle = family(name)
    instance = puzzle.parse_text(text)
    assert puzzle.parse(puzzle.dump(instance)) == instance
    (solution,) = puzzle.enumerate(instance, limit=2)
    drawn = puzzle.decode(instance, solution)
    assert isinstance(drawn, str)
    # What is drawn is a board of its own.
    solved = puzzle.parse({**puzzle.dump(instance), "grid": drawn})
    assert [each.tobytes() for each in puzzle.enumerate(solved, limit=2)] == [solution.tobytes()]


@pytest.mark.parametrize(
    ("name", "body", "field", "detail"),
    [
        ("futoshiki", {}, "grid", "must be a list"),
        ("futoshiki", {"grid": [[1]]}, "number of rows", "between 2 and 9"),
        ("futoshiki", {"grid": [[1, 2], [0]]}, "length of grid[1]", "between 2 and 2"),
        ("futoshiki", {"grid": [[1, 3], [0, 0]]}, "grid[0]", "between 0 and 2"),
        ("futoshiki", {"grid": [[1, 1], [0, 0]]}, "grid", "1 stands twice in row 0"),
        ("futoshiki", {"grid": [[0, 0], [0, 0]], "less": [[[0, 0], [1, 1]]]}, "less[0]", "no neig"),
        ("futoshiki", {"grid": [[2, 0], [0, 0]], "less": [[[0, 0], [0, 1]]]}, "less", "(0, 0) <"),
        ("futoshiki", {"grid": [[0, 0], [0, 0]], "less": [7]}, "less[0]", "the lower first"),
        ("futoshiki", {"grid": ".<.\n^ ^\n.<.", "less": []}, "less", "drawn grid"),
        ("futoshiki", {"grid": "..."}, "grid", "2N - 1 lines"),
        ("futoshiki", {"grid": ". .\n\n.>.\n\n. .\n\n. ."}, "grid", "2N - 1 lines"),
        ("futoshiki", {"grid": ".v.\n   \n. ."}, "grid", "at character 1"),
        ("futoshiki", {"grid": "3 .\n   \n. ."}, "grid", "a cell is 1 to 2"),
        ("futoshiki", {"grid": "2:0,0,0,"}, "grid", "has 3 cells"),
        ("futoshiki", {"grid": "2:0L,0,0,0,"}, "grid", "beyond the board"),
        ("light-up", {}, "grid", "must be a list"),
        ("light-up", {"grid": []}, "grid", "has 0 rows"),
        ("light-up", {"grid": ["..", "."]}, "grid[1]", "has 1 cells"),
        ("light-up", {"grid": ["x."]}, "grid", "row 0, column 0 holds"),
        ("light-up", {"grid": ["O.O"]}, "grid", "2 bulbs light each other in row 0"),
        ("light-up", {"grid": ["3."]}, "grid", "wants 3 bulbs"),
        ("light-up", {"grid": "3x2:a"}, "grid", "has 1 cells; a board of 3x2 has 6"),
        ("jigsaw", {}, "grid", "must be a list"),
        ("jigsaw", {"grid": ["...", "...", "..."]}, "regions", "must be a list"),
        ("jigsaw", {"grid": ["..", ".."], "regions": []}, "grid", "has 2 rows"),
        ("jigsaw", {"grid": ["...", "..", "..."], "regions": []}, "grid[1]", "has 2 cells"),
        ("jigsaw", {"grid": "." * 9, "regions": TWICE}, "regions[2]", "a cell of regions[0]"),
        ("jigsaw", {"grid": "." * 9, "regions": [[], [], []]}, "regions", "has regions of 9"),
        ("jigsaw", {"grid": ["..."] * 3, "regions": ["aab"] * 3}, "regions", "of 6, 3 cells"),
        ("jigsaw", {"grid": ["..4"] * 3, "regions": ["abc"] * 3}, "grid", "a cell is 1 to 3"),
        ("jigsaw", {"grid": ["..1"] * 3, "regions": ["abc"] * 3}, "grid", "3 times in column 2"),
        ("jigsaw", {"grid": "3j:1,a"}, "grid", "has 1 cells; a board of 3 rows has 9"),
        ("jigsaw", {"grid": "3j:i,a"}, "grid", "has 2 borders; a board of 3 rows has 12"),
    ],
)
def test_malformed_bodies_are_told_where(
    name: str, body: dict[str, object], field: str, detail: str
) -> None:
    with pytest.raises(PuzzleInvalid) as raised:
        family(name).parse(body)
    issue = raised.value.issues[0]
    assert issue.field == field
    assert detail in issue.detail


def test_a_wall_may_want_bulbs_that_the_givens_hold() -> None:
    light_up = family("light-up")
    instance = light_up.parse({"grid": ["O1.", "..."]})
    answers = list(light_up.enumerate(instance, limit=5))
    assert [light_up.decode(instance, answer) for answer in answers] == [["O1.", "..O"]]


CELLS_OF_REGIONS = [[[0, 0], [0, 1], [1, 0]], [[0, 2], [1, 2], [2, 2]], [[1, 1], [2, 0], [2, 1]]]
OTHER_NOTATIONS: list[tuple[str, dict[str, object], dict[str, object]]] = [
    (
        "jigsaw",
        {"grid": "1........", "regions": regions},
        {"grid": "1..\n...\n...", "regions": "aab\nacb\nccb"},
    )
    for regions in (
        "aabacbccb",
        [[1, 1, 2], [1, 3, 2], [3, 3, 2]],
        [[0, 0, 1], [0, 2, 1], [2, 2, 1]],
    )
]
OTHER_NOTATIONS += [
    (
        "jigsaw",
        {"grid": [[1, 0, None], [0, 0, 0], [0, 0, 0]], "regions": CELLS_OF_REGIONS},
        {"grid": [[1, 0, 0], [0, 0, 0], [0, 0, 0]], "regions": [[*"aab"], [*"acb"], [*"ccb"]]},
    ),
    ("jigsaw", {"grid": MADE_BY_SGT[4][1].replace("j:", "jdt:")}, {"grid": MADE_BY_SGT[4][1]}),
    ("light-up", {"grid": [["-", "1"], ["#", "-"]]}, {"grid": [".1", "#."]}),
    ("light-up", {"grid": "7x7b20s4d1:b11p2Bb0b01pBBb"}, {"grid": MADE_BY_SGT[2][1]}),
    ("futoshiki", {"grid": "- \u2039 -\n\u2227   \u2228\n-   -"}, {"grid": ".<.\n^ v\n. ."}),
]


@pytest.mark.parametrize(("puzzle", "other", "ours"), OTHER_NOTATIONS)
def test_notations_of_other_programs_are_read(
    puzzle: str, other: dict[str, object], ours: dict[str, object]
) -> None:
    rules = family(puzzle)
    instance = rules.parse(other)
    assert instance == rules.parse(ours)
    assert rules.parse(rules.dump(instance)) == instance


def test_a_jigsaw_of_lists_is_answered_with_lists() -> None:
    jigsaw = family("jigsaw")
    instance = jigsaw.parse({"grid": [[1, 0, 0], [0, 0, 3], [0, 0, 0]], "regions": "aabacbccb"})
    (answer,) = jigsaw.enumerate(instance, limit=2)
    assert jigsaw.decode(instance, answer) == [[1, 3, 2], [2, 1, 3], [3, 2, 1]]
    with pytest.raises(PuzzleInvalid, match="neither a digit nor a sign"):
        jigsaw.parse({"grid": [[1, 0, -1]] * 3, "regions": "aabacbccb"})
