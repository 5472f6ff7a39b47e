"""Ten thousand lines through ``gram solve``: all are answered or named, memory stays flat."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gram_core.errors import PuzzleInvalid, UserError
from gram_core.puzzles import family
from tests.clients.mixed import expected, mixed_lines
from tests.clients.scripted import RESULT, Received, Reply, ScriptedServer, problem

NUM_LINES = 10_000
MAX_GROWTH_BYTES = 8 << 20
"""Between a fifth of the way and the end; 8,000 kept results or errors take several times that."""


class ReadingServer(ScriptedServer):
    """Refuses what no family reads, as the server does, and answers the rest with one result."""

    def next_reply(self, received: Received) -> Reply:
        text = received.body.decode()
        body = json.loads(text) if text[0] == "{" else {"puzzle": "sudoku", "grid": text}
        body = body if text[0] != "S" else {"puzzle": "maze", "grid": text}
        try:
            family(body["puzzle"]).parse(body)
        except (PuzzleInvalid, UserError) as error:
            return problem(422, "puzzle_invalid", detail=str(error))
        return Reply(body=RESULT)


@pytest.fixture
def reading() -> Iterator[ReadingServer]:
    server = ReadingServer()
    yield server
    server.close()


def growth_bytes(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a process, and return by how much its memory grew after a fifth of its time."""
    watched, sizes = psutil.Process(process.pid), list[int]()
    while process.poll() is None:
        try:
            sizes.append(watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    process.wait()
    return max(sizes) - sizes[len(sizes) // 5]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_ten_thousand_lines_each_is_answered_or_named(
    reading: ReadingServer, tmp_path: Path
) -> None:
    lines = mixed_lines(NUM_LINES)
    path, output, said = (tmp_path / name for name in ("mixed.txt", "solved.jsonl", "said.txt"))
    path.write_text("\n".join(lines), encoding="utf-8")
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "gram_client.cli", "solve", str(path), "--output", str(output)],
            env={**os.environ, "GRAM_BASE_URL": reading.url},
            stderr=stderr,
        )
        growth = growth_bytes(process)
    by_line = {}
    for text in output.read_text(encoding="utf-8").splitlines():
        result = json.loads(text)
        by_line[int(result["source"].rpartition(":")[2])] = "error" not in result
    wanted = expected(lines)
    told = said.read_text(encoding="utf-8")
    named = set(map(int, re.findall(rf"^gram: {re.escape(str(path))}:(\d+): ", told, re.MULTILINE)))
    assert by_line == wanted
    assert named == {number for number, is_solved in wanted.items() if not is_solved}
    assert (process.returncode, growth < MAX_GROWTH_BYTES) == (2, True), growth
