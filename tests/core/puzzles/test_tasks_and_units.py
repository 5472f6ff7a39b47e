import subprocess
import sys

import numpy as np
import pytest

from gram_core.errors import CoreError, UnknownPuzzle, UnknownTask, UserError
from gram_core.puzzles import Constraint, Violation, families, family, task


@pytest.mark.parametrize(
    ("name", "length", "vocabulary", "layout"),
    [
        ("sudoku-9x9", 81, 11, (9, 9)),
        ("sudoku-6x6", 36, 8, (6, 6)),
        ("sudoku-4x4", 16, 6, (4, 4)),
        ("nqueens-8", 64, 3, (8, 8)),
        ("nqueens-1", 1, 3, (1, 1)),
        ("nqueens-64", 4096, 3, (64, 64)),
        ("graph-coloring-8", 8, 5, (1, 8)),
        ("graph-coloring-8-4", 8, 6, (1, 8)),
        ("graph-coloring-256-32", 256, 34, (1, 256)),
    ],
)
def test_task_names_give_shapes(
    name: str, length: int, vocabulary: int, layout: tuple[int, int]
) -> None:
    shape = task(name)
    assert shape.name == name
    assert (shape.length, shape.vocabulary) == (length, vocabulary)
    assert (shape.rows, shape.columns) == layout
    assert shape.rows * shape.columns == shape.length
    assert family(shape.family).task(name) is shape


@pytest.mark.parametrize(
    "name",
    [
        "",
        "sudoku",
        "sudoku-5x5",
        "sudoku-9x9 ",
        *(f"maze-{size}" for size in ("1x1", "30", "65x3", "0x5", "03x5")),
        *(f"nqueens-{size}" for size in ("0", "65", "08", "8\n", "-8", "\u0668", "9" * 5000)),
        *(f"graph-coloring-{size}" for size in ("257", "0", "8-0", "8-33")),
        # A task has one name, and three colours go without saying.
        "graph-coloring-8-3",
    ],
)
def test_unknown_tasks_are_refused_briefly(name: str) -> None:
    with pytest.raises(UnknownTask) as caught:
        task(name)
    assert len(str(caught.value)) < 250
    assert isinstance(caught.value, UserError)
    assert caught.value.code == "unknown_task"


def test_unknown_puzzle_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownPuzzle, match="sudoku, nqueens, graph-coloring"):
        family("chess")


def test_well_known_tasks_belong_to_their_family() -> None:
    assert list(families())[:4] == ["sudoku", "nqueens", "graph-coloring", "maze"]
    for name, rules in families().items():
        assert rules.name == name
        assert rules.tasks()
        assert all(task(known).family == name for known in rules.tasks())


def test_error_codes_are_distinct() -> None:
    def tree(root: type[CoreError]) -> list[type[CoreError]]:
        return [root, *(leaf for branch in root.__subclasses__() for leaf in tree(branch))]

    classes = [cls for cls in tree(CoreError) if cls.__module__ == "gram_core.errors"]
    assert len({cls.code for cls in classes}) == len(classes)


@pytest.mark.parametrize("name", ["sudoku-9x9", "sudoku-6x6", "sudoku-4x4", "nqueens-6"])
def test_units_of_each_kind_partition_the_board(name: str) -> None:
    shape = task(name)
    for kind in {unit.kind for unit in shape.units}:
        cells = [cell for unit in shape.units if unit.kind == kind for cell in unit.cells]
        assert sorted(cells) == list(range(shape.length))


def test_boxes_of_a_6x6_board_are_two_rows_by_three_columns() -> None:
    boxes = {unit.name: unit.cells for unit in task("sudoku-6x6").units if unit.kind == "box"}
    assert boxes["box 0"] == (0, 1, 2, 6, 7, 8)
    assert boxes["box 1"] == (3, 4, 5, 9, 10, 11)
    assert boxes["box 5"] == (27, 28, 29, 33, 34, 35)


def test_queens_lines_have_their_constraints() -> None:
    units = {unit.name: unit for unit in task("nqueens-3").units}
    assert len(units) == 3 + 3 + 5 + 5
    assert units["row 1"].constraint is Constraint.EXACTLY_ONE
    assert units["column 2"].cells == (2, 5, 8)
    assert units["diagonal 2"].cells == (0, 4, 8)
    assert units["antidiagonal 2"].cells == (2, 4, 6)
    assert units["diagonal 0"].constraint is Constraint.AT_MOST_ONE


def test_edges_are_the_units_of_a_graph() -> None:
    coloring = family("graph-coloring")
    units = coloring.units(coloring.parse({"vertices": 4, "edges": [[3, 0], [1, 2]]}))
    assert [(unit.name, unit.kind, unit.cells) for unit in units] == [
        ("edge 0-3", "edge", (0, 3)),
        ("edge 1-2", "edge", (1, 2)),
    ]


def test_sudoku_violations_name_rule_and_cells() -> None:
    sudoku = family("sudoku")
    instance = sudoku.parse({"grid": "1..............."})
    answer = sudoku.encode(sudoku.parse({"grid": "123434122143432."})).tokens.copy()
    answer[[0, 1]] = answer[[1, 0]]
    assert sudoku.violations(instance, answer) == [
        Violation("blank", ((3, 3),)),
        Violation("given", ((0, 0),)),
        Violation("column 0", ((0, 0), (2, 0))),
        Violation("column 1", ((0, 1), (2, 1))),
    ]


def test_queens_violations_name_attacks_and_empty_lines() -> None:
    queens = family("nqueens")
    board = queens.parse({"n": 3, "queens": [[0, 0]]})
    answer = np.array([1, 1, 1, 1, 2, 1, 2, 1, 1], dtype=np.uint8)
    assert queens.violations(board, answer) == [
        Violation("given", ((0, 0),)),
        Violation("row 0", ((0, 0), (0, 1), (0, 2))),
        Violation("column 2", ((0, 2), (1, 2), (2, 2))),
        Violation("antidiagonal 2", ((1, 1), (2, 0))),
    ]


def test_coloring_violations_name_edges() -> None:
    coloring = family("graph-coloring")
    graph = coloring.parse({"vertices": 4, "edges": [[0, 1], [2, 1]], "fixed": {"3": 1}})
    answer = np.array([2, 2, 1, 2], dtype=np.uint8)
    assert coloring.violations(graph, answer) == [
        Violation("blank", ((2,),)),
        Violation("given", ((3,),)),
        Violation("edge 0-1", ((0,), (1,))),
    ]


def test_renamed_colorings_are_one_solution_and_others_are_not() -> None:
    coloring = family("graph-coloring")
    graph = coloring.parse({"vertices": 4, "edges": []})

    def key(*colors: int) -> bytes:
        return coloring.canonical(graph, np.array(colors, dtype=np.uint8))

    assert key(2, 3, 4, 2) == key(4, 2, 3, 4)
    assert key(2, 3, 4, 2) != key(2, 3, 4, 3)
    assert key(2, 2, 3, 3) != key(2, 3, 3, 2)


def test_rotated_queens_are_another_solution() -> None:
    queens = family("nqueens")
    board = queens.parse({"n": 4})
    one, other = queens.enumerate(board, limit=3)
    assert queens.canonical(board, one) != queens.canonical(board, other)


def test_puzzles_load_neither_torch_nor_the_exact_solver() -> None:
    program = "import sys, gram_core.puzzles; print({'torch', 'ortools'} & set(sys.modules))"
    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == "set()"
