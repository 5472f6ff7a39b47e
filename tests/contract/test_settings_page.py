"""Every setting is on its page and in the help, by the names that the server takes."""

import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gram_server.cli import main
from gram_server.options import all_settings

ROOT = Path(__file__).parents[2]
NAMES = {setting.name: setting for setting in all_settings()}
COMMANDS = (("serve",), ("worker",), ("doctor",), ("dlq", "list"), ("dlq", "purge"))


def test_the_page_is_what_the_code_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs/making"))
    sys.modules.pop("settings_page", None)
    import settings_page  # type: ignore[import-not-found]

    written = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert written == settings_page.page(), "run python docs/making/settings_page.py"


def options_of(path: tuple[str, ...]) -> list[click.Option]:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return [option for option in command.params if isinstance(option, click.Option)]


@pytest.mark.parametrize("path", COMMANDS, ids="-".join)
def test_the_help_of_every_option_names_its_variable(path: tuple[str, ...]) -> None:
    shown = CliRunner(env={"COLUMNS": "4000"}).invoke(main, [*path, "--help"]).output
    lines = re.split(r"\n(?=  --)", re.sub(r"\s*\n {4,}", " ", shown))
    num_settings = 0
    for option in options_of(path):
        (line,) = [line for line in lines if option.opts[0] in line.split()[0:2]]
        assert option.help, option.name
        if option.name in NAMES:
            num_settings += 1
            setting = NAMES[option.name]
            assert f"[env: {setting.variable}" in line
            if setting.default:
                assert f"default: {setting.default}]" in line
        else:
            assert "[env:" not in line
    assert num_settings >= 2
