"""Light Up against the golden puzzles of the package ``ppbench``, which people made."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from gram_core.puzzles import family

MAX_CELLS = 400


def golden(pid: str) -> list[str]:
    """Return the addresses of the golden puzzles of a kind; the package itself is not run."""
    spec = find_spec("ppbench")
    if spec is None or spec.origin is None:
        pytest.skip("ppbench is not installed: it has the golden puzzles")
    file = Path(spec.origin).parent / "bundled" / "golden_300.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines() if line]
    return [record["puzzlink_url"] for record in records if record["pid"] == pid]


def rows_of(address: str) -> list[str]:
    """Return the board of a puzz.link address: numbers with blanks after them, runs of blanks."""
    columns, rows, code = address.partition("?")[2].split("/")[1:4]
    cells = ""
    for sign in code:
        value = int(sign, 36) if sign != "." else -1
        if value < 0:
            cells += "#"
        elif value < 15:
            cells += f"{value % 5}" + "." * (value // 5)
        else:
            cells += "." * (value - 15)
    # The last blanks may be more than there are.
    length = int(rows) * int(columns)
    assert len(cells) >= length
    return [cells[at : at + int(columns)] for at in range(0, length, int(columns))]


@pytest.mark.slow
def test_every_golden_light_up_has_one_answer() -> None:
    light_up = family("light-up")
    boards = [rows_of(address) for address in golden("lightup")]
    small = [board for board in boards if len(board) * len(board[0]) <= MAX_CELLS]
    assert small
    for board in small:
        instance = light_up.parse({"grid": board})
        (solution,) = light_up.enumerate(instance, limit=2)
        assert light_up.check(instance, solution)
