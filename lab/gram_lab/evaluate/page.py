"""The files of measured tables: JSON for each, and one page that shows all of a kind."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gram_lab.evaluate.table import Table


class Page(NamedTuple):
    """A kind of table and the page that shows its tables."""

    name: str
    """Of the Markdown file, and of the folder of JSON files beside it."""
    opening: str


PAPER_TABLES = Page(
    "paper-tables",
    "# The paper's tables\n\n"
    "Our rows, in bold, beside the published ones (arXiv 2605.19376 and the papers that rows "
    "name). *Steps* are supervision steps per puzzle, *GFLOP* what they cost, both means over the "
    "puzzles. Every answer that counts passed the plain checker. The JSON files of these tables "
    "are in `paper-tables/`.\n",
)
GRID = Page(
    "grid",
    "# Widths and depths\n\n"
    "How often the first trajectories of a puzzle are right, by how many they are and how many "
    "steps they take. The JSON files of these tables are in `grid/`.\n",
)


def write_tables(folder: Path, page: Page, tables: Sequence[Table]) -> None:
    """Write the tables' JSON and make the page anew from all tables of its kind."""
    (folder / page.name).mkdir(parents=True, exist_ok=True)
    for table in tables:
        text = json.dumps(table.to_json(), indent=1) + "\n"
        (folder / page.name / f"{table.name}.json").write_text(text, encoding="utf-8")
    paths = sorted((folder / page.name).glob("*.json"))
    sections = [
        Table.from_json(json.loads(path.read_text(encoding="utf-8"))).to_markdown()
        for path in paths
    ]
    text = "\n".join([page.opening, *sections])
    (folder / f"{page.name}.md").write_text(text, encoding="utf-8")
