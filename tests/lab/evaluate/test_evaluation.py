"""Reading puzzles, recording trajectories, and the figures made of them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_lab.data.instances import Case, held_out_cases, read_cases
from gram_lab.evaluate.command import main
from gram_lab.evaluate.report import measure, summarise
from gram_lab.rollouts import Rollouts, Running
from tests.lab.data.test_instances import BAD

PUZZLE = "..35.1....7148....58..73..4.....569.........7...1.72.534...8....15..483.......4.."
SOLUTION = "493561782671482953582973164137245698254896317968137245349718526715624839826359471"


def boards(count: int) -> list[Case]:
    """4x4 boards with one to three open cells, so that random answers are right at times."""
    rng = np.random.default_rng(0)
    family = puzzles.family("sudoku")
    cases = []
    for _ in range(count):
        digits = list("1234341221434321")
        for cell in rng.permutation(16)[: rng.integers(1, 4)]:
            digits[cell] = "."
        cases.append(Case(family.parse_text("".join(digits)), "all", 1))
    return cases


def test_one_that_stops_when_solved_spends_no_more_on_that_instance(guesser: LoadedModel) -> None:
    cases, rows = boards(12), Running(num_rows=16)
    whole = measure(guesser, cases, width=8, depth=6, is_complete=True, running=rows)[0]
    short = measure(guesser, cases, width=8, depth=6, running=rows)[0]
    assert short.solved == whole.solved
    assert short.solved_by_width == whole.solved_by_width
    assert short.steps_per_puzzle < whole.steps_per_puzzle
    assert short.distinct is None
    assert whole.distinct is not None


def test_figures_are_what_the_rollouts_say() -> None:
    task = puzzles.task("sudoku-9x9")
    family = puzzles.family("sudoku")
    instance = family.parse_text(PUZZLE)
    right = np.array([int(digit) + 1 for digit in SOLUTION], dtype=np.uint8)
    wrong = right.copy()
    wrong[:2] = wrong[1::-1]
    cases = [Case(instance, "a", 1), Case(instance, "b", 2), Case(instance, "b", None)]
    found = Rollouts.empty(3, 2, 8, 81)
    found.num_steps[:] = [[3, 8], [8, 5], [1, 8]]
    # The device claims a wrong answer: it must not count, but be reported.
    for item, step, tokens in (((0, 0), 3, right), ((1, 1), 5, right), ((2, 0), 1, wrong)):
        found.first.at[item], found.first.tokens[item] = step, tokens
    every, first, second = summarise(task, cases, found, is_complete=True)
    assert [each.group for each in (every, first, second)] == ["all", "a", "b"]
    assert every.solved == pytest.approx(2 / 3)
    assert every.single == pytest.approx(1 / 3)
    assert every.solved_by_width == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}
    assert every.coverage == pytest.approx((1.0 + 0.5) / 2)
    assert every.steps_per_puzzle == pytest.approx((3 + 8 + 8 + 5 + 1 + 8) / 3)
    assert every.mismatches == 1
    assert second.instances == 2


def test_puzzles_are_grouped_by_their_rating(tmp_path: Path) -> None:
    task = puzzles.task("sudoku-9x9")
    table = tmp_path / "dev.tsv"
    table.write_text(
        "source\tpuzzle\tsolution\tclues\tguesses\tser\n"
        f"a\t{PUZZLE}\t{SOLUTION}\t29\t0\t2.0\nb\t{PUZZLE}\t{SOLUTION}\t29\t0\t7.2\n"
        f"c\t{PUZZLE}\t{SOLUTION}\t29\t0\t-\n"
    )
    groups = [case.group for case in read_cases(task, table, limit=None)]
    assert groups == ["SER <= 4.5", "SER > 7.0", "hard"]


def test_without_a_file_sudoku_puzzles_with_one_solution_are_made() -> None:
    family = puzzles.family("sudoku")
    cases = read_cases(puzzles.task("sudoku-9x9"), None, limit=2)
    again = read_cases(puzzles.task("sudoku-9x9"), None, limit=2)
    assert cases == again
    for case in cases:
        assert len(list(family.enumerate(case.instance, limit=2))) == 1


@pytest.mark.slow
def test_held_out_graphs_know_their_number_of_colourings() -> None:
    task = puzzles.task("graph-coloring-6")
    family = puzzles.family("graph-coloring")
    for case in held_out_cases(task, num_graphs=8):
        exact = len(list(family.enumerate(case.instance, limit=1000)))
        assert case.num_solutions == exact


def test_the_command_prints_json_and_refuses_with_one_sentence(
    guesser: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "boards.txt"
    data.write_text("123434122143432.\n12343412214.4321\n")
    options = ["sudoku-4x4", "--model", str(guesser.info.path), "--data", str(data)]
    assert main([*options, "--width", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["reports"][0]["instances"] == 2
    assert result["model"].startswith("sudoku-4x4@")
    assert main([*options, "--width", "4"]) == 0
    assert "width 1: " in capsys.readouterr().out
    assert main(["sudoku-4x4", "--model", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--json"], ["--grid"]])
def test_no_bad_file_ends_in_a_traceback(
    guesser: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    # One of them is a board of the task.
    bad = [content for content in BAD if content != b"12.4341221434321"]
    assert len(bad) > 40
    data = tmp_path / "data"
    for content in bad:
        data.write_bytes(content)
        options = ["sudoku-4x4", "--model", str(guesser.info.path), "--data", str(data)]
        assert main([*options, *more]) == 2, content
        shown = capsys.readouterr()
        assert shown.out == ""
        assert re.fullmatch(r"gram-lab evaluate: .*holds .*\n", shown.err), content
