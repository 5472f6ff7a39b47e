"""Every setting is on its page and in the help, by the names that the server takes."""

import dataclasses
import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gram_server.cli import main
from gram_server.options import all_settings
from gram_server.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = {setting.name: setting for setting in all_settings()}
COMMANDS = (("serve",), ("worker",), ("doctor",), ("dlq", "list"), ("dlq", "purge"))


def test_the_page_is_what_the_code_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs/making"))
    sys.modules.pop("settings_page", None)
    import settings_page  # type: ignore[import-not-found]

    written = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert written == settings_page.page(), "run python docs/making/settings_page.py"


def test_the_page_is_in_the_navigation_of_the_site() -> None:
    assert "reference/settings.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_setting_has_a_meaning_a_name_and_its_default_on_the_page() -> None:
    parts = [getattr(Settings(), field.name) for field in dataclasses.fields(Settings)]
    declared = {
        field.name: getattr(part, field.name)
        for part in parts
        if dataclasses.is_dataclass(part)
        for field in dataclasses.fields(part)
    }
    assert NAMES.keys() == declared.keys() | {"log_level"}
    rows = {}
    for line in (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| `(GRAM_SERVER_\w+)` \| (.*) \| (.*) \| (.*) \|$", line):
            rows[found[1]] = found.groups()[1:]
    assert rows.keys() == {f"GRAM_SERVER_{name.upper()}" for name in NAMES}
    for name, value in declared.items():
        _, default, meaning = rows[f"GRAM_SERVER_{name.upper()}"]
        assert len(meaning) > 20, name
        if value not in (None, ()):
            # What the page says is what the variable would be set to.
            text = default.strip("`")
            settings = Settings.load(environ={f"GRAM_SERVER_{name.upper()}": text})
            assert settings == Settings()


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
