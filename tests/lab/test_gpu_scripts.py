"""What the scripts for a machine with a GPU decide by themselves, tried without one."""

import importlib.util
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gram_core import puzzles
from gram_lab.bench.questions import draw_questions, read_mix

LAB = Path(__file__).parents[2] / "lab"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, LAB / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spoiled(body: dict[str, Any], answer: Any) -> Any:
    """Return an answer whose last part repeats another one: the one before, or a neighbour's."""
    if "edges" not in body:
        return answer[:-1] + answer[-2:-1]
    first, second = body["edges"][-1]
    return [answer[first] if vertex == second else color for vertex, color in enumerate(answer)]


@pytest.mark.parametrize("name", ["sudoku-9x9", "nqueens-8", "graph-coloring-8", "maze-30x30"])
def test_its_own_rules_accept_what_exact_search_finds_and_refuse_the_rest(name: str) -> None:
    is_right = script("gpu_serve").is_right
    family = puzzles.family(puzzles.task(name).family)
    for question in draw_questions(read_mix(name), 3, seed=1):
        instance = family.parse(question.body)
        for tokens in islice(family.enumerate(instance, limit=2), 2):
            answer: Any = family.decode(instance, tokens)
            assert is_right(question.body, answer)
            assert not is_right(question.body, spoiled(question.body, answer))
            if name == "sudoku-9x9":
                other = {"puzzle": "sudoku", "grid": answer[1:] + answer[:1]}
                assert not is_right(other, answer)


def test_a_command_that_takes_too_long_is_stopped_and_said(tmp_path: Path) -> None:
    session = script("gpu_session")
    slow = session.Command("slow", ("-c", "print('begun', flush=True)\nwhile True: pass"), 1.0)
    assert not session._run(slow, tmp_path, end_s=1e12)
    assert (tmp_path / "slow.txt").read_text() == "begun\n"
    assert "stopped after 1 s" in (tmp_path / "summary.jsonl").read_text()
    good = session.Command("good", ("-c", "import gram_lab"))
    assert session._run(good, tmp_path, end_s=1e12)
