"""The command line of the lab: what it offers, and how little it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gram_lab
from gram_lab.cli import COMMANDS, main
from gram_server import __version__

ABSENT = ["aiohttp", "click", "fastapi", "matplotlib", "prometheus_client", "pydantic", "redis"]
ABSENT += ["rich", "uvicorn", "gram_server"]


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_its_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(["--help"], capsys)
    for name, (_, purpose) in COMMANDS.items():
        assert f"{name:10}{purpose}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"usage: gram-lab {name}" in shown([name, "--help"], capsys)


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fly"])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_it_is_released_with_the_server_it_measures() -> None:
    assert gram_lab.__version__ == __version__
    metadata = (Path(__file__).parents[2] / "lab/pyproject.toml").read_text("utf-8")
    assert f'"gram-server=={__version__}"' in metadata


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nqueens-5", "--preset", "tiny", "--updates", "1", "--compile", "off"],
        ["evaluate", "nqueens-8", "--limit", "2", "--width", "1", "--depth", "1"],
        ["data", "maze-8x8", "--count", "1"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_it_needs_no_more_than_torch_numpy_and_safetensors(
    arguments: list[str], tmp_path: Path
) -> None:
    block = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))"
    run = "from gram_lab.cli import main; sys.exit(main(sys.argv[1:]))"
    if arguments[0] == "train":
        arguments = [*arguments, "--threads", "1", "--output", str(tmp_path / "model")]
    if arguments[0] == "data":
        arguments = [*arguments, "--output", str(tmp_path / "mazes.npz")]
    subprocess.run(
        [sys.executable, "-c", f"{block}; {run}", *arguments],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=110,
    )
