"""The commands of docs/data.md, run in their order as they stand, but for how much they make."""

import re
from pathlib import Path

import pytest

from gram_lab.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")
# Those of ARC-AGI need its package and a server: see ``data/test_arc.py``.
COMMANDS = [
    line for line in re.findall(r"^gram-lab (.*)$", PAGE, re.MULTILINE) if "arc" not in line
]
PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLUTION = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
SMALL = ("dim", "ffn_dim", "token_ffn_dim", "num_rows")
LESS = {
    "train": ["--updates=1", "--threads=1", "--compile=off", "--set=num_heads=1"],
    "data": ["--count=1", "--minutes=0.2"],
    "evaluate": ["--limit=1"],
}
LESS["train"] += [f"--set={name}=8" for name in SMALL]


@pytest.mark.slow
def test_the_commands_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text(f"source,question,answer\nmine,{PUZZLE},{SOLUTION}\n")
    Path("dev.tsv").write_text("puzzle\tsolution\n")
    for output in ("hard.npz", "data/sudoku-1k-test"):
        assert main(["data", "sudoku-9x9", "--from", "train.csv", "--output", output]) == 0
    assert len(COMMANDS) == 5
    for line in COMMANDS:
        command, *options = line.split()
        if "--seeds" in options:
            # Of an easy seed come easy ones.
            options += ["--min-guesses=0"]
        assert main([command, *options, *LESS[command]]) == 0, line
    for made in ("runs/trm/CARD.md", "data/sudoku-1k/train", "data/train_hard_made.npz"):
        assert Path(made).exists()
