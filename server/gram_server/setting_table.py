"""Names, kinds and defaults of all settings, read from their declarations.

Source of the command line's help and of the settings page.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

from gram_server.settings import ENV_PREFIX, Settings


class Setting(NamedTuple):
    """One setting of the server."""

    name: str
    part: str
    kind: str
    default: str
    """Empty where there is none."""

    @property
    def variable(self) -> str:
        return f"{ENV_PREFIX}{self.name.upper()}"


def all_settings() -> list[Setting]:
    """Return every setting, in order of declaration."""
    return list(_settings_of(Settings, ""))


def _settings_of(config: Any, part: str) -> Iterator[Setting]:
    for each in fields(config):
        if each.default is MISSING:
            yield from _settings_of(each.default_factory, each.name)
        else:
            yield Setting(each.name, part, _kind(each), _shown(each.default))


def _kind(declared: "Field[Any]") -> str:
    name = str(getattr(declared.type, "__name__", declared.type)).removesuffix(" | None")
    words = {"int": "integer", "float": "number", "str": "text", "bool": "true or false"}
    return words.get(name, "list, with commas")


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:.15g}"
    return "" if default in (None, ()) else str(default)
