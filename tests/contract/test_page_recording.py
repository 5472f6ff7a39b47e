"""The run that the page opens with is what the shipped weights do."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gram_core.catalog import find_model

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "server/gram_server/page/recording.json"
NUM_STEPS = 4
MAX_OTHER_CELLS = 4
"""Of 81: another processor rounds in another way, and later steps enlarge it."""


def answers(trajectory: dict[str, Any]) -> list[str]:
    cells = list(trajectory["start"])
    found = [trajectory["start"]]
    for change in trajectory["changes"]:
        for cell, digit in zip(change[::2], change[1::2], strict=True):
            cells[ord(cell) - 35] = digit
        found.append("".join(cells))
    return found


def num_different(one: str, other: str) -> int:
    return sum(mine != its for mine, its in zip(one, other, strict=True))


def test_the_lane_without_noise_is_the_shipped_network_without_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs/making"))
    sys.modules.pop("page_recording", None)
    import page_recording  # type: ignore[import-not-found]

    recorded = json.loads(RECORDING.read_text(encoding="utf-8"))
    assert recorded["result"]["model"] == find_model("sudoku-9x9").id
    made = answers(page_recording.noiseless(NUM_STEPS))
    shown = answers(recorded["noiseless"])[:NUM_STEPS]
    differences = [num_different(*pair) for pair in zip(made, shown, strict=True)]
    assert max(differences) <= MAX_OTHER_CELLS
    # With the noise that trajectory 0 has beside it, it would be another course.
    noisy = answers(recorded["trajectories"][0])[:NUM_STEPS]
    assert min(num_different(*pair) for pair in zip(made, noisy, strict=True)) > MAX_OTHER_CELLS
