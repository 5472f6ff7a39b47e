"""Command-line flags of settings; type, variable and default come from the setting."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from gram_server.setting_table import all_settings
from gram_server.settings import LOG_LEVELS, PRECISIONS

KINDS: Mapping[str, type] = {"integer": int, "number": float, "true or false": bool}
"""Type of a flag, by the kind of its setting; any other is text."""

SETTINGS = {setting.name: setting for setting in all_settings()}

Command = Callable[..., Any]


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
        type=KINDS.get(setting.kind, str) if choices is None else click.Choice(choices),
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
            "bf16 halves the work of products on a CPU with matrix units.",
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
