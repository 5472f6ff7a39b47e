"""Commands and flags that the documentation shows exist, and servers would start as shown.

What else is shown is run elsewhere: ``tests/server/e2e`` has the snippets that ask a server,
``tests/lab/test_data_page.py`` those that make data.
"""

import io
import re
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import gram_client.cli
import gram_lab.cli
import gram_server.cli

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("docs/*/README.md"),
    *ROOT.glob("docs/reference/*.md"),
    *(ROOT / name / "README.md" for name in ("clients/python", "kernels", "lab")),
    ROOT / "docker/kubernetes/gram-server/README.md",
]
GROUPS = {"gram": gram_client.cli.main, "gram-server": gram_server.cli.main}
SOURCES = ("gram_core", "kernels", "server", "clients", "lab")
MAKE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROGRAMS = r"(?:gram|gram-server|gram-lab|make|python|docker|helm)"
# A command of an earlier commit stands where its figures do, and says so.
INLINE = re.compile(rf"`({PROGRAMS} [^`]+)`(?!\s+of\s+commit)")
FENCED = re.compile(r"^ *```[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
PIP = re.compile(r"pip install((?: -e)?(?: '?[\w./-]+(?:\[\w+\])?'?)+)")
PACKAGES = {"pre-commit", "types-networkx"}
"""What others publish."""
FLAG = re.compile(r"--[a-z][\w-]*")


def commands(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    if page.name != "CHANGELOG.md":
        yield from (" ".join(found.split()) for found in INLINE.findall(FENCED.sub("", text)))
    yield from fenced(page)


def fenced(page: Path) -> Iterator[str]:
    for block in FENCED.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"^(\w+=\S+ )+", "", line.split(" #")[0].strip())
            if re.match(rf"{PROGRAMS} ", command):
                yield command


CASES = sorted({(str(page.relative_to(ROOT)), line) for page in PAGES for line in commands(page)})
SERVERS = {line for page in PAGES for line in fenced(page) if line.startswith("gram-server ")}


def click_flags(group: click.Command, words: list[str]) -> set[str]:
    """Return the flags of a command of a group, and of the group itself."""
    flags = {"--help"}
    command: click.Command | None = group
    while command is not None:
        flags |= {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
        if not isinstance(command, click.Group) or not words or words[0].startswith("-"):
            return flags
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    return flags


def lab_flags(words: list[str]) -> set[str]:
    """Return the flags that the help of a command of the lab shows."""
    module, _ = gram_lab.cli.COMMANDS[words[0]]
    measurement = [*words[1:2]] if words[0] == "bench" else []
    with redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit) as ended:
        import_module(module).main([*measurement, "--help"])
    assert ended.value.code == 0
    return set(FLAG.findall(shown.getvalue()))


def assert_files_exist(words: list[str]) -> None:
    named = [word for word in words if re.fullmatch(r"(docker|docs|lab|kernels)/\S+", word)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_there_are_commands_of_every_program() -> None:
    programs = {line.split()[0] for _, line in CASES}
    assert {"gram", "gram-server", "gram-lab", "make", "python", "docker", "helm"} <= programs
    assert len(CASES) > 90


@pytest.mark.parametrize(("page", "line"), CASES)
def test_a_command_that_is_shown_exists(page: str, line: str) -> None:
    program, *words = re.sub(r"[][]", " ", line).split()
    if program == "python":
        if words[:2] == ["-m", "gram_lab"]:
            program, words = "gram-lab", words[2:]
        else:
            assert_files_exist(words)
            return
    if program == "make":
        targets = [word for word in words if "=" not in word]
        assert [name for name in targets if not re.search(rf"^{name}:", MAKE, re.MULTILINE)] == []
    elif program in GROUPS:
        assert set(FLAG.findall(" ".join(words))) <= click_flags(GROUPS[program], words)
    elif program == "gram-lab":
        assert set(FLAG.findall(" ".join(words))) <= lab_flags(words)
    else:
        assert_files_exist(words)


@pytest.mark.parametrize("line", sorted(SERVERS))
def test_a_server_would_start_as_shown(line: str) -> None:
    run = CliRunner().invoke(gram_server.cli.main, [*line.split()[1:], "--print-config"])
    assert run.exit_code == 0, run.output


def test_pip_installs_what_there_is() -> None:
    sources = [path for name in SOURCES for path in (ROOT / name).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in [*PAGES, *sources]]
    told = " ".join(words for text in texts for words in PIP.findall(text))
    wanted = {word.strip("'") for word in told.split()}
    assert {".", "./clients/python", "./lab[bench]", ".[otel]"} <= wanted
    for name in wanted - PACKAGES - {"-e"}:
        folder, _, extra = name.rstrip("]").partition("[")
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        assert not extra or extra in project["optional-dependencies"], name
