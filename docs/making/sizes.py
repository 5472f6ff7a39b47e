"""Measures how a server answers puzzles of every size, and writes docs/results/sizes.md.

python docs/making/sizes.py [http://localhost:8000]

Rows that docs/results/sizes.json has are kept: take out those that are to be measured anew.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from gram_client import Client, SolveResult
from gram_client.cli.local import local_server
from gram_core.puzzles.graph_coloring.generate import count
from gram_lab.data.maze_kinds import carved, scattered, set_ends
from gram_lab.intervals import wilson

RESULTS = Path(__file__).parents[1] / "results"
WIDTH = 16
TIMEOUT_S = 1_800.0
SEED = 1
MAX_COLORINGS = 100_000
Body = dict[str, Any]
Kind = tuple[str, str, str]
"""Puzzle, size, and of which kind."""
MAZES = {
    "scattered": (5, 10, 15, 20, 25, 29, 30, 31, 35, 40, 64),
    "open": (10, 20, 30),
    "carved": (5, 7, 9, 15, 21, 25, 29, 31, 35, 41, 63),
    "branched": (9, 21, 29),
    "braided": (9, 15, 21, 25, 29, 31, 35),
}
"""Sides of each kind."""
NUM_MAZES = 20
HEAD = """# Puzzles of every size

Made by `docs/making/sizes.py` from what a server of one thread with the shipped models answered:
width 16, the models' depths, `max_solutions=1&fallback=exact`, so that exact search takes what no
model does.

| column | is |
|---|---|
| goes to | the model that is asked first, or exact search where there is none |
| by weights | puzzles that a trajectory solved, of as many as have a solution; 95 % by Wilson |
| exact | puzzles that exact search answered: all, or those that no trajectory had solved |
| no solution | puzzles that exact search proved to have none |
| ms | median of a job in the engine, where there is a model, beside other work on two cores |

Graphs are random, each edge with probability p. Those for weights are drawn among the graphs that
have a colouring, each as likely as the others of as many edges; for exact search all are taken.
Mazes are *carved* (depth first, one way between any two cells), *branched* (the same, from any cell
that can go on: short branches) or *braided* (carved, then a tenth of the cells opened), all with
walls around, or *scattered* (30 % walls) or *open* (10 %), with start and goal in opposite corners.
Mazes with far goals, and queens, are on [another page](README.md).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    puzzle: str
    size: str
    kind: str
    model: str
    """What most of them went to."""
    puzzles: int
    by_weights: int
    exact: int
    no_solution: int
    ms: float

    def markdown(self) -> str:
        share = ms = "-"
        if self.model != "exact":
            found = wilson(self.by_weights / self.puzzles, self.puzzles)
            share = f"{self.by_weights} of {self.puzzles} ({100 * found.low:.0f} to "
            share += f"{100 * found.high:.0f} %)"
            ms = f"{self.ms:.0f}"
        cells = (self.puzzle, self.size, self.kind, self.model, share, str(self.exact))
        return f"| {' | '.join(cells)} | {self.no_solution or '-'} | {ms} |"


def main(arguments: list[str]) -> None:
    """Ask the server, or one of its own, and write the page."""
    kept = known_rows()
    rows = []
    with (
        nullcontext(arguments[0]) if arguments else local_server() as url,
        Client(url, timeout_s=TIMEOUT_S) as client,
    ):
        for kind, bodies in plan():
            # Drawn also where the row is kept: the next ones follow from the same generator.
            drawn = list(bodies)
            rows.append(kept.get(kind) or measured(client, *kind, drawn))
            click.echo(rows[-1].markdown(), err=True)
            if kind not in kept:
                write(rows)
    write(rows)


def write(rows: list[Row]) -> None:
    """Write the page, and the rows for the next run."""
    rows.sort(key=place)
    heads = ["puzzle", "size", "kind", "goes to", "by weights", "exact", "no solution", "ms"]
    lines = [
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(row.markdown() for row in rows),
    ]
    text = "\n".join(lines)
    (RESULTS / "sizes.md").write_text(f"{HEAD}\n{text}\n", encoding="utf-8")
    document = json.dumps([asdict(row) for row in rows], indent=1)
    (RESULTS / "sizes.json").write_text(f"{document}\n", encoding="utf-8")


def known_rows() -> dict[Kind, Row]:
    """Return the rows of an earlier run."""
    path = RESULTS / "sizes.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {(row["puzzle"], row["size"], row["kind"]): Row(**row) for row in rows}


def place(row: Row) -> tuple[str, int]:
    """Return where a row stands: mazes by kind and side, behind the rest in its order."""
    return (row.kind, int(row.size.partition("x")[0])) if row.puzzle == "maze" else ("", 0)


def plan() -> Iterator[tuple[Kind, Iterable[Body]]]:
    rng = np.random.default_rng(SEED)
    with_weights = [(3, size) for size in (3, 5, 7, 9, 11, 13, 14, 15, 16, 20, 24)]
    with_weights += [(2, size) for size in (3, 5, 8, 9, 12, 15, 20, 23)]
    without = [(2, 40), (3, 32), (3, 40)]
    without += [(colors, size) for colors in (4, 5) for size in (3, 8, 16, 24, 40)]
    for colors, size in with_weights + without:
        for p in (0.2, 0.5):
            kind = (f"graph, {colors} colours", str(size), f"p = {p}")
            if (colors, size) in with_weights:
                yield kind, islice(colorable_graphs(size, colors, p, rng), 50)
            else:
                yield kind, [graph(random_edges(size, p, rng), size, colors) for _ in range(10)]
    for name, sides in MAZES.items():
        for side in sides:
            made = [maze(name, side, rng) for _ in range(NUM_MAZES)]
            yield ("maze", f"{side}x{side}", name), made


def measured(client: Client, puzzle: str, size: str, kind: str, bodies: list[Body]) -> Row:
    asked = client.map(
        bodies,
        width=WIDTH,
        seed=SEED,
        max_solutions=1,
        fallback="exact",
        best_attempt=False,
        max_concurrency=4,
    )
    results = list(asked)
    for body, result in zip(bodies, results, strict=True):
        assert result.is_solved or result.unsolvable, (body, result)
    sources = [result.best.source if result.best else "none" for result in results]
    models = [goes_to(result) for result in results]
    return Row(
        puzzle=puzzle,
        size=size,
        kind=kind,
        model=max(models, key=models.count),
        puzzles=len(bodies),
        by_weights=sources.count("model"),
        exact=sources.count("exact"),
        no_solution=sources.count("none"),
        ms=median(result.usage.engine_ms for result in results),
    )


def goes_to(result: SolveResult) -> str:
    """Name the model, and whether the puzzle had to be padded."""
    name = result.model.partition("@")[0]
    return f"{name}, padded" if result.padded_to else name


def random_edges(size: int, p: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    return [pair for pair in combinations(range(size), 2) if rng.random() < p]


def graph(edges: list[tuple[int, int]], size: int, colors: int) -> Body:
    pairs = [list(edge) for edge in edges]
    return {"puzzle": "graph-coloring", "vertices": size, "edges": pairs, "colors": colors}


def colorable_graphs(size: int, colors: int, p: float, rng: np.random.Generator) -> Iterator[Body]:
    """Draw from the Erdos-Renyi graphs that have a colouring, endlessly.

    Where those are rare, edges are drawn between the parts of a random colouring that is taken with
    the probability of having no edge within its parts. A graph comes once for each of its
    colourings then, so one of many is kept with the probability of 1 / their number.
    """
    is_rare = colors == 2 or p > 0.4
    while True:
        edges = random_edges(size, p, rng)
        if is_rare:
            parts = rng.integers(colors, size=size)
            within = [
                pair for pair in combinations(range(size), 2) if parts[pair[0]] == parts[pair[1]]
            ]
            least = colors * (size / colors) * (size / colors - 1) / 2
            if rng.random() > (1 - p) ** (len(within) - least):
                continue
            edges = [edge for edge in edges if parts[edge[0]] != parts[edge[1]]]
        found = count(edges, size, colors, limit=MAX_COLORINGS if is_rare else 1)
        if found and rng.random() * found <= 1:
            yield graph(edges, size, colors)


def maze(kind: str, side: int, rng: np.random.Generator) -> Body:
    """Make a maze as usual generators do, with start and goal in opposite corners."""
    while True:
        if kind in ("scattered", "open"):
            cells = scattered(side, side, 0.3 if kind == "scattered" else 0.1, rng)
        else:
            newest, opened = float(kind != "branched"), 0.1 * (kind == "braided")
            cells = carved(side, side, rng, newest=newest, opened=opened)
        # Scattered walls may leave no way.
        if set_ends(cells, rng, at_corners=True):
            return {"puzzle": "maze", "grid": ["".join(row) for row in cells]}


if __name__ == "__main__":
    main(sys.argv[1:])
