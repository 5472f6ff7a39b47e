"""The tables of commands are whole, and make targets that the README names exist."""

import re
from pathlib import Path

import click
import pytest

import gram_client.cli
import gram_server.cli
from gram_lab.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README, COMMAND_PAGE, LAB = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/reference/commands.md", "lab/README.md")
)


@pytest.mark.parametrize(
    ("program", "group"),
    [("gram", gram_client.cli.main), ("gram-server", gram_server.cli.main)],
)
def test_every_command_stands_in_its_table(program: str, group: click.Group) -> None:
    listed = re.findall(rf"^\| `{program} ([a-z][\w-]*)", COMMAND_PAGE, re.MULTILINE)
    shown = (name for name, command in group.commands.items() if not command.hidden)
    assert sorted(set(listed)) == sorted(shown)


def test_every_command_of_the_lab_stands_in_a_table() -> None:
    assert set(re.findall(r"^\| `gram-lab ([a-z]+)", LAB, re.MULTILINE)) == set(COMMANDS)


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)$|`make ([a-z]+)`", README, re.MULTILINE))
    assert {one or other for one, other in named} <= targets
    assert {"install", "serve", "test", "check", "train", "bench", "clean"} <= targets
