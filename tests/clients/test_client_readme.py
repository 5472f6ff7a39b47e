"""The examples of the client's README run as they stand."""

import re
from pathlib import Path

import pytest

from tests.clients.scripted import BOARDS, RESULT, Reply, ScriptedServer

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "number", "output"),
    [
        ("README.md", 0, "15 1234341221434321\n"),
        ("clients/python/README.md", 0, "solved 1 31.4\n15 1234341221434321\n"),
        ("clients/python/README.md", 1, "1\n1\n"),
        ("clients/python/README.md", 2, "None 1234341221434321\n"),
    ],
)
def test_an_example_runs_as_it_stands(
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    page: str,
    number: int,
    output: str,
) -> None:
    code = examples(page)[number].replace("http://127.0.0.1:8000", server.url)
    server.say(Reply(body=BOARDS if ".generate(" in code else RESULT))
    monkeypatch.setenv("GRAM_BASE_URL", server.url)
    exec(compile(code, page, "exec"), {})
    assert capsys.readouterr().out == output


@pytest.mark.parametrize(("page", "count"), [("README.md", 1), ("clients/python/README.md", 5)])
def test_every_example_is_run(page: str, count: int) -> None:
    assert len(examples(page)) == count
