import json
import logging
import os

import pytest
from click.testing import CliRunner

from gram_server.cli import main
from gram_server.logs import JsonFormatter, PlainFormatter

COMMANDS = {
    "serve",
    "worker",
    "models",
    "key",
    "dlq",
    "doctor",
    "healthcheck",
    "completion",
}


def test_every_command_has_help() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    assert set(main.commands) == COMMANDS
    assert CliRunner().invoke(main, ["-h"]).output == shown.output
    for word in ("GRAM_SERVER_", "130"):
        assert word in shown.output
    for name in COMMANDS:
        assert name in shown.output
        assert main.commands[name].help
        assert CliRunner().invoke(main, [name, "-h"]).exit_code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    ran = CliRunner().invoke(main, ["completion", shell])
    assert ran.exit_code == 0
    assert f"_GRAM_SERVER_COMPLETE={shell}_complete" in ran.output


def test_the_completion_knows_the_servers_commands() -> None:
    env = {"_GRAM_SERVER_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    for words, found in (("gram-server doc", "doctor"), ("gram-server comp", "completion")):
        ran = CliRunner(env={**env, "COMP_WORDS": words}).invoke(main, [], prog_name="gram-server")
        assert ran.stdout == f"plain,{found}\n"


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gram_core.catalog.shipped_models", interrupted)
    assert CliRunner().invoke(main, ["models"]).exit_code == 130


def test_serve_says_what_its_flags_do() -> None:
    shown = CliRunner().invoke(main, ["serve", "--help"])
    for flag in ("--host", "--port", "--model", "--device", "--num-slots", "--max-trajectories"):
        assert flag in shown.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "70000"],
        ["serve", "--port", "http"],
        ["serve", "--num-slots", "0"],
        ["serve", "--max-trajectories", "5"],
        ["serve", "--log-level", "loud"],
        ["serve", "--nothing"],
        ["worker"],
        ["fly"],
    ],
)
def test_wrong_usage_is_status_2_and_one_sentence(arguments: list[str]) -> None:
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert "Error: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_unknown_environment_name_stops_the_start() -> None:
    ran = CliRunner().invoke(main, ["serve"], env={**os.environ, "GRAM_SERVER_PROT": "1"})
    assert ran.exit_code == 2
    assert "prot" in ran.stderr


def test_a_log_line_is_one_json_object() -> None:
    record = logging.LogRecord("gram_server.x", logging.INFO, "", 0, "job=%s", ("a\nb",), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "job=a\nb"
    assert json.loads(line)["level"] == "info"


@pytest.mark.parametrize(
    ("level", "line"),
    [(logging.INFO, "job=*** is ready"), (logging.ERROR, "error: job=*** is ready")],
)
def test_people_read_a_line_in_words_without_secrets(level: int, line: str) -> None:
    record = logging.LogRecord("x", level, "", 0, "job=%s is ready", ("s3cret",), None)
    assert PlainFormatter(["s3cret"]).format(record) == line


def test_an_exception_is_within_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), info)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]
