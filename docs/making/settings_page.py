"""Generates the page of all settings from their declarations and the command line.

python docs/making/settings_page.py
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click

from gram_server.cli import main
from gram_server.options import all_settings
from gram_server.settings import EngineConfig, HttpConfig, QueueConfig, RedisConfig, Settings

PAGE = Path(__file__).parents[1] / "reference/settings.md"
COMMANDS = ("serve", "worker")
CONFIGS = (HttpConfig, QueueConfig, RedisConfig, EngineConfig, Settings)
PARTS = {
    "http": "HTTP",
    "queue": "Queue",
    "redis": "Redis",
    "engine": "Engine",
    "": "All processes",
}
HEAD = """# Every setting

Made by `docs/making/settings_page.py` from the code. A flag wins over the environment, the
environment over the default. A `GRAM_SERVER_*` name that is not here, or a value that cannot be
used, stops the start. `gram-server --print-config` shows what is in force. Traces are set up by the
standard `OTEL_*` names ([Running it for others](../operations.md#logs-and-traces)).
"""


def flags() -> dict[str, str]:
    """Return the flag of each setting that has one, with its command if only one has it."""
    found: dict[str, dict[str, str]] = {}
    for command in COMMANDS:
        for option in main.commands[command].params:
            if isinstance(option, click.Option) and option.name:
                words = "` / `".join((*option.opts, *option.secondary_opts))
                found.setdefault(option.name, {})[command] = f"`{words}`"
    return {
        name: shown if len(of) > 1 else f"{shown} of `{command}`"
        for name, of in found.items()
        for command, shown in list(of.items())[:1]
    }


def meanings(config: type) -> dict[str, str]:
    """Return the docstring of each field of a class."""
    (declared,) = ast.parse(inspect.getsource(config)).body
    assert isinstance(declared, ast.ClassDef)
    found: dict[str, str] = {}
    for line, beneath in pairwise(declared.body):
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
            continue
        if isinstance(beneath, ast.Expr) and isinstance(beneath.value, ast.Constant):
            found[line.target.id] = inspect.cleandoc(str(beneath.value.value)).replace("\n", " ")
    return found


def lines() -> Iterator[str]:
    yield HEAD.rstrip()
    by_flag = flags()
    text = {name: words for config in CONFIGS for name, words in meanings(config).items()}
    for part, title in PARTS.items():
        yield from ("", f"## {title}", "", "| variable | flag | default | |", "|---|---|---|---|")
        for setting in all_settings():
            if setting.part == part:
                flag = by_flag.get(setting.name, "")
                default = f"`{setting.default}`" if setting.default else ""
                meaning = f"{text[setting.name]} ({setting.kind})".replace("``", "`")
                yield f"| `{setting.variable}` | {flag} | {default} | {meaning} |"


def page() -> str:
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
