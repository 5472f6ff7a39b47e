"""Lines as people have them: puzzles of every family and form, broken ones, and remarks.

``python -m tests.clients.mixed 10000 > mixed.txt`` writes a file of them.
"""

import random
import sys

NINE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SIX = "." * 35 + "1"

READABLE = (
    "12.4341221434321",
    SIX,
    NINE,
    NINE.replace(".", "0"),
    f"{NINE} 7.2",
    f"0000183b305c {NINE} 1.2",
    f'"{NINE}"',
    " ".join(NINE),
    f'{{"puzzle": "{NINE}", "rating": 2}}',
    f'{{"data": {{"puzzle": "{NINE}"}}}}',
    '{"puzzle": "nqueens", "n": 6, "queens": [[0, 1]]}',
    f'{{"id": 1, "grid": "{NINE}"}}',
    '{"puzzle": "graph-coloring", "vertices": 3, "edges": [[0, 1], [1, 2]], "colors": 4}',
    '{"puzzle": "maze", "grid": ["S.#", "..E"]}',
    '["S.#", "..G"]',
)
BROKEN = (
    NINE[1:],
    f"{NINE}5",
    f"55{NINE[2:]}",
    f"5x{NINE[2:]}",
    f"Q{NINE[1:]}",
    f"\0{NINE[1:]}",
    "hello world",
    "12.43",
    "?",
    '{"puzzle": "nqueens", "n": 6',
    '{"puzzle": "nqueens", "n": 2, "queens": [[0, 0], [1, 1]]}',
    '{"puzzle": "chess"}',
    '{"puzzle": "maze", "grid": ["S#G"]}',
    "[1, 2]",
)
SILENT = ("", "# a remark", "Puzzle 7", "; another")


def mixed_lines(count: int, seed: int = 1) -> list[str]:
    """Return so many lines; the first says of a file that its lines are puzzles."""
    draw = random.Random(seed)
    return [NINE, *(draw.choice(READABLE + BROKEN + SILENT) for _ in range(count - 1))]


def expected(lines: list[str]) -> dict[int, bool]:
    """Return, by number from 1, whether a line that is no remark holds a puzzle."""
    return {at: line in READABLE for at, line in enumerate(lines, start=1) if line not in SILENT}


if __name__ == "__main__":
    sys.stdout.write("\n".join(mixed_lines(int(sys.argv[1]))))
