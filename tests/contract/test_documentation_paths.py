"""The documentation points at files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "clients/python/README.md", *sorted(ROOT.glob("docs/*.md"))]
SOURCES = [
    f"/{path.relative_to(ROOT)}"
    for folder in ("gram_core", "kernels", "server", "clients", "lab", "tests")
    for path in (ROOT / folder).rglob("*.py")
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_source_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)`", text)
    missing = [path for path in named if not any(src.endswith(f"/{path}") for src in SOURCES)]
    assert missing == []
