"""Settings as the command line takes and shows them: flags, kinds, defaults, and no secrets."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any, NamedTuple
from urllib.parse import unquote

import click

from gram_server.settings import ENV_PREFIX, LOG_LEVELS, PRECISIONS, Settings
from gram_server.store_url import MIN_SECRET, redact_url, secrets_within

OTEL_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
OTEL_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

KINDS = {"int": "integer", "float": "number", "str": "text", "bool": "true or false"}
"""Kind of a setting by its type; any other is a list."""
TYPES: Mapping[str, type] = {"integer": int, "number": float, "true or false": bool}
"""Type of a flag, by the kind of its setting; any other is text."""

Command = Callable[..., Any]


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
            hint = str(getattr(each.type, "__name__", each.type)).removesuffix(" | None")
            kind = KINDS.get(hint, "list, with commas")
            yield Setting(each.name, part, kind, _shown(each.default))


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:.15g}"
    return "" if default in (None, ()) else str(default)


SETTINGS = {setting.name: setting for setting in all_settings()}


def setting_option(
    flag: str, help: str, *, name: str | None = None, choices: Sequence[str] | None = None
) -> Callable[[Command], Command]:
    """Return a click option for a setting, whose name may differ from the flag's."""
    name = name or flag.partition("/")[0].lstrip("-").replace("-", "_")
    setting = SETTINGS[name]
    default = f"; default: {setting.default}" if setting.default else ""
    return click.option(
        flag,
        name,
        type=TYPES.get(setting.kind, str) if choices is None else click.Choice(choices),
        multiple=setting.kind == "list, with commas",
        default=None,
        help=f"{help}  [env: {setting.variable}{default}]",
    )


def engine_options(command: Command) -> Command:
    options = (
        setting_option("--model", "Shipped model or checkpoint path.", name="models"),
        setting_option("--device", "auto, cpu, cuda or cuda:N."),
        setting_option("--num-slots", "Trajectories that run at once, per model."),
        setting_option("--num-threads", "CPU threads of the model."),
        setting_option(
            "--fixed-shape/--buckets",
            "Bit-equal answers for any batch mix, or the smallest batch that fits.",
        ),
        setting_option(
            "--precision",
            "Of products on a CPU; auto takes int8 where VNNI is the fastest.",
            choices=PRECISIONS,
        ),
        setting_option("--drain-s", "Seconds for live jobs when stopping."),
        setting_option("--store", "Redis URL of the queue; none keeps it in memory."),
        setting_option("--queue-name", "Queue in that Redis."),
        setting_option("--lease-s", "Seconds until a silent worker is given up."),
        click.option("--print-config", is_flag=True, help="Print the settings, and exit."),
        setting_option("--log-level", "Least level of a line.", choices=LOG_LEVELS),
    )
    for option in reversed(options):
        command = option(command)
    return command


def store_options(command: Command) -> Command:
    for option in (
        setting_option("--queue-name", "Queue in that Redis."),
        setting_option("--store", "Redis URL of the queue."),
    ):
        command = option(command)
    return command


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings by part, with passwords hidden."""
    values = asdict(settings)
    if settings.redis.store is not None:
        values["redis"]["store"] = redact_url(settings.redis.store)
    return values


def secret_texts(settings: Settings, environ: Mapping[str, str] | None = None) -> set[str]:
    """Return the texts to hide in logs: passwords in URLs, and headers of OTLP requests."""
    environ = os.environ if environ is None else environ
    texts = secrets_within(settings.redis.store or "")
    for name in OTEL_ENDPOINTS:
        texts |= secrets_within(environ.get(name, ""))
    for name in OTEL_HEADERS:
        for header in environ.get(name, "").split(","):
            # The separator is =; a : is a common mistake.
            value = header.replace(":", "=", 1).partition("=")[2].strip()
            texts |= {header.strip(), value, unquote(value)}
    return {text for text in texts if len(text) >= MIN_SECRET}
