"""Records the run that the page opens with, from a running server with the shipped weights.

    python docs/making/page_recording.py http://localhost:8000

A stream shows trajectories ten times a second, which may leave steps out. A run with a seed is the
same every time, so it is asked for until every step of every trajectory was seen. The same
weights run here too, without noise, for the race on the page.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from gram_core import puzzles
from gram_core.catalog import find_model
from gram_core.checkpoint import load_model
from gram_core.model import answer
from gram_core.puzzles import BLANK
from gram_core.solve import rollout
from gram_lab.evaluate.variants import Ablation, ablated

FILE = Path(__file__).parents[2] / "server/gram_server/page/recording.json"
# Arto Inkala's of 2012, which newspapers called the hardest in the world.
GRID = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."
MODEL, WIDTH, DEPTH, SEED = "sudoku-9x9", 32, 64, 4
FIRST_CELL = 35
"""Code of the character that stands for cell 0, as in page/recording.js."""

Document = dict[str, Any]


def run(client: httpx.Client) -> tuple[list[Document], Document]:
    """Return all that the stream of one run shows of its trajectories, and the answer."""
    query = {"width": WIDTH, "depth": DEPTH, "seed": SEED, "show_trajectories": WIDTH}
    answer = client.post(
        "/solve", params=query, content=GRID, headers={"Accept": "text/event-stream"}
    ).raise_for_status()
    sights: list[Document] = []
    result: Document = {}
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        data = json.loads(fields.get("data", "null"))
        if fields.get("event") == "progress":
            sights += data["trajectories"]
        elif fields.get("event") == "done":
            result = data
    return sights, result


@torch.inference_mode()
def noiseless(depth: int = DEPTH) -> Document:
    """Return the run of the same weights with sigma 0, no view, and the start of trajectory 0."""
    loaded = load_model(find_model(MODEL))
    model = ablated(loaded, Ablation("no noise", guidance="mean", augment=False)).loaded.model
    family = puzzles.family("sudoku")
    instance = family.parse_text(GRID)
    givens = torch.as_tensor(family.encode(instance).tokens).long()[None]
    answers: list[str] = []
    for output in rollout(model, givens, torch.tensor([SEED]), torch.tensor([0]), depth=depth):
        tokens = answer(output.logits, givens, allows_blank=False)[0].numpy().astype(np.uint8)
        answers.append("".join(str(token - BLANK) for token in tokens))
        if family.check(instance, tokens):
            return course(answers, "solved")
    return course(answers, "exhausted")


def course(answers: list[str], state: str) -> Document:
    """Return a trajectory: its first answer, and what each step changed."""
    steps = [changes(*pair) for pair in pairwise(answers)]
    return {"start": answers[0], "changes": steps, "state": state}


def changes(before: str, after: str) -> str:
    """Return the cells that differ, each with its new digit."""
    pairs = enumerate(zip(before, after, strict=True))
    return "".join(f"{chr(FIRST_CELL + at)}{new}" for at, (old, new) in pairs if old != new)


def recorded(client: httpx.Client) -> Document:
    """Return the run, with every step of its trajectories."""
    courses: list[dict[int, str]] = [{} for _ in range(WIDTH)]
    states = [""] * WIDTH
    result: Document = {}
    while not all(seen and len(seen) == max(seen) for seen in courses):
        sights, result = run(client)
        for sight in sights:
            index, step, said = sight["trajectory"], sight["step"], sight["answer"]
            if courses[index].setdefault(step, said) != said:
                sys.exit(f"trajectory {index} was not the same twice at step {step}")
            states[index] = sight["state"]
    if not result["model"].endswith(find_model(MODEL).fingerprint):
        sys.exit(f"the server runs {result['model']}, which is not the model that is shipped")
    trajectories = [
        course([answers[step] for step in sorted(answers)], state)
        for answers, state in zip(courses, states, strict=True)
    ]
    return {
        "puzzle": "sudoku",
        "grid": GRID,
        "trajectories": trajectories,
        "noiseless": noiseless(),
        "result": result,
    }


def main() -> None:
    [url] = sys.argv[1:]
    with httpx.Client(base_url=url, timeout=600.0) as client:
        text = json.dumps(recorded(client), separators=(",", ":"), ensure_ascii=False)
    FILE.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
