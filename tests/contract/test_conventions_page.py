"""Every row of docs/conventions.md names a test that there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [
    line.strip("| ").split(" | ")
    for line in (ROOT / "docs/conventions.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| point")
]


def test_every_row_has_the_test_that_holds_it() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    known = {
        name for text in sources for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.M)
    }
    assert len(ROWS) > 30
    for row in ROWS:
        assert row[-1].strip("`") in known, row
