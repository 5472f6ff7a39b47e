"""A file of mixed, partly broken lines through ``gram solve``, behind a real server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.mixed import BROKEN, READABLE, expected, mixed_lines
from tests.server.e2e.conftest import Server


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_readable_line_is_answered_and_every_other_named(
    server: Server, tmp_path: Path
) -> None:
    lines = [*mixed_lines(60), *READABLE, *BROKEN]
    path, output = tmp_path / "mixed.txt", tmp_path / "solved.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    options = ["--fallback", "exact", "--max-solutions", "1", "--width", "4"]
    run = subprocess.run(
        [sys.executable, "-m", "gram_client.cli", "solve", path, "--output", output, *options],
        env={**os.environ, "GRAM_BASE_URL": server.url},
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    answered = {}
    for text in output.read_text(encoding="utf-8").splitlines():
        result = json.loads(text)
        number = int(result["source"].rpartition(":")[2])
        answered[number] = result.get("status") == "solved"
    named = re.findall(rf"^gram: {re.escape(str(path))}:(\d+): ", run.stderr, re.MULTILINE)
    wanted = expected(lines)
    assert answered == wanted
    assert set(map(int, named)) == {number for number, is_puzzle in wanted.items() if not is_puzzle}
    assert run.returncode == 2
