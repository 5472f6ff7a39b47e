"""The programs of the cookbook: typed, and run as they stand against a real server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.e2e.conftest import Server, Start

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/cookbook.md").read_text(encoding="utf-8")
PROGRAMS = {
    re.sub(r"\W+", "_", title.lower()).strip("_"): code
    for title, code in re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```$", PAGE, re.S | re.M)
}
MODELS = ("sudoku-9x9", "sudoku-9x9-generate", "nqueens-8", "graph-coloring-8")
# networkx brings no types.
CONFIG = "[mypy]\nstrict = true\n[mypy-networkx.*]\nignore_missing_imports = true\n"
PYRIGHT = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT / "clients/python")]}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every program."""
    folder = tmp_path_factory.mktemp("cookbook")
    for name, code in PROGRAMS.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def cook(start_server: Start) -> Server:
    return start_server(*(flag for name in MODELS for flag in ("--model", name)))


def test_every_program_is_found() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") == 21


def test_every_program_is_typed(programs: Path) -> None:
    config = programs / "mypy.ini"
    config.write_text(CONFIG, encoding="utf-8")
    cache = ROOT / ".mypy_cache/cookbook"
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(config),
        "--cache-dir",
        str(cache),
    ]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "clients/python")}
    run = subprocess.run(
        [*command, *map(str, sorted(programs.glob("*.py")))],
        env=environment, cwd=programs, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_program_is_typed_for_pyright_too(programs: Path) -> None:
    (programs / "pyrightconfig.json").write_text(json.dumps(PYRIGHT), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=programs, capture_output=True, text=True, check=False,
    )  # fmt: skip
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS), run.stderr
    wrong = [
        (Path(found["file"]).stem, found.get("rule", ""), found["message"])
        for found in report["generalDiagnostics"]
    ]
    unexplained = [
        (name, rule, message)
        for name, rule, message in wrong
        if not (rule.startswith("reportUnknown") and "networkx" in PROGRAMS[name])
    ]
    assert unexplained == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_as_it_stands(cook: Server, programs: Path, name: str) -> None:
    run = subprocess.run(
        [sys.executable, f"{name}.py"],
        env={**os.environ, "GRAM_BASE_URL": cook.url, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=programs, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout
    assert run.stderr == ""
