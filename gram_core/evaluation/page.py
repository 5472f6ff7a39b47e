"""The files of measured tables: JSON for each, and one page that shows them all."""

import json
from collections.abc import Sequence
from pathlib import Path

from gram_core.evaluation.table import Table

TABLES_FOLDER = "paper"
PAGE_FILE = "paper-tables.md"
OPENING = (
    "# The paper's tables\n\n"
    "Our rows, in bold, beside the published ones (arXiv 2605.19376 and the papers that rows "
    "name). *Steps* are supervision steps per puzzle, *GFLOP* what they cost, both means over the "
    "puzzles. Every answer that counts passed the plain checker. The JSON files of these tables "
    "are in `paper/`.\n"
)


def write_tables(folder: Path, tables: Sequence[Table]) -> None:
    """Write the tables' JSON and make the page anew from all tables in the folder."""
    (folder / TABLES_FOLDER).mkdir(parents=True, exist_ok=True)
    for table in tables:
        text = json.dumps(table.to_json(), indent=1) + "\n"
        (folder / TABLES_FOLDER / f"{table.name}.json").write_text(text, encoding="utf-8")
    paths = sorted((folder / TABLES_FOLDER).glob("*.json"))
    sections = [
        Table.from_json(json.loads(path.read_text(encoding="utf-8"))).to_markdown()
        for path in paths
    ]
    page = "\n".join([OPENING, *sections])
    (folder / PAGE_FILE).write_text(page, encoding="utf-8")
