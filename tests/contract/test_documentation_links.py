"""What the documentation names is there: files, commands, settings, tests of conventions."""

import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import gram_client.cli
import gram_server.cli
from gram_lab.cli import COMMANDS
from gram_server.options import all_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "clients/python/README.md", *sorted(ROOT.glob("docs/*.md"))]
SOURCES = [
    f"/{path.relative_to(ROOT)}"
    for folder in ("gram_core", "kernels", "server", "clients", "lab", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
SETTINGS = {setting.name: setting for setting in all_settings()}
OF_SETTINGS = (("serve",), ("worker",), ("doctor",), ("dlq", "list"), ("dlq", "purge"))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_source_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = re.findall(r"`([\w/]+\.py)`", text)
    assert [one for one in named if not any(src.endswith(f"/{one}") for src in SOURCES)] == []


def test_every_row_of_conventions_has_the_test_that_holds_it() -> None:
    lines = text_of("docs/conventions.md").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| point")]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    known = {
        name for text in sources for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.M)
    }
    assert len(rows) > 30
    for row in rows:
        assert row.strip("| ").split(" | ")[-1].strip("`") in known, row


@pytest.mark.parametrize(
    ("program", "group"),
    [("gram", gram_client.cli.main), ("gram-server", gram_server.cli.main)],
)
def test_every_command_stands_in_its_table(program: str, group: click.Group) -> None:
    page = text_of("docs/reference/commands.md")
    listed = re.findall(rf"^\| `{program} ([a-z][\w-]*)", page, re.MULTILINE)
    shown = (name for name, command in group.commands.items() if not command.hidden)
    assert sorted(set(listed)) == sorted(shown)


def test_every_command_of_the_lab_stands_in_a_table() -> None:
    listed = re.findall(r"^\| `gram-lab ([a-z]+)", text_of("lab/README.md"), re.MULTILINE)
    assert set(listed) == set(COMMANDS)


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = re.findall(r"\bmake ([a-z]+)$|`make ([a-z]+)`", text_of("README.md"), re.MULTILINE)
    assert {one or other for one, other in named} <= targets
    assert {"install", "serve", "test", "check", "train", "bench", "clean"} <= targets


def test_the_page_of_settings_is_what_the_code_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs/making"))
    sys.modules.pop("settings_page", None)
    import settings_page  # type: ignore[import-not-found]

    written = text_of("docs/reference/settings.md")
    assert written == settings_page.page(), "run python docs/making/settings_page.py"


@pytest.mark.parametrize("path", OF_SETTINGS, ids="-".join)
def test_the_help_of_every_option_names_its_variable(path: tuple[str, ...]) -> None:
    runner = CliRunner(env={"COLUMNS": "4000"})
    shown = runner.invoke(gram_server.cli.main, [*path, "--help"]).output
    lines = re.split(r"\n(?=  --)", re.sub(r"\s*\n {4,}", " ", shown))
    command: click.Command = gram_server.cli.main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    options = [option for option in command.params if isinstance(option, click.Option)]
    for option in options:
        (line,) = [line for line in lines if option.opts[0] in line.split()[0:2]]
        assert option.help, option.name
        setting = SETTINGS.get(option.name or "")
        assert (setting is None) == ("[env:" not in line)
        if setting is not None:
            assert f"[env: {setting.variable}" in line
            assert not setting.default or f"default: {setting.default}]" in line
    assert sum(option.name in SETTINGS for option in options) >= 2
