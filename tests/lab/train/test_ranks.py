"""Several processes train as one does, one of them may die, and others go on from there."""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from gram_core.errors import ConfigError
from gram_lab import cli
from gram_lab.train.resume import COUNTERS, TENSORS_FILE, load_run
from tests.lab.train.rank import RUNS, UPDATES, finish, trainer

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^torchrun (.*)$", PAGE, re.MULTILINE)
LIMIT_S = 1500.0
"""Three interpreters that import torch, on a machine with much else to do."""
ROUNDING, SMALLEST = 1e-3, 1e-3
SMALL = (
    *("--updates", str(UPDATES), "--preset", "tiny", "--validate-every", "1e9"),
    *("--set", "num_rows=8", "--set", "depths=3", "--set", "default_depth=2"),
    *("--device", "cpu", "--threads", "1", "--compile", "off", "--precision", "fp32"),
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * LIMIT_S)]


def torchrun(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PET_LOCAL_ADDR": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def saved(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and counters of a run, but for its time."""
    with safe_open(folder / TENSORS_FILE, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        counters = json.loads(file.metadata()[COUNTERS])
    assert counters.pop("used_s") > 0.0
    return tensors, counters


def assert_same(one: Path, other: Path, *, is_exact: bool = False) -> None:
    """Compare everything that a run goes on from; floats to rounding unless ``is_exact``.

    AdamW moves a weight whose gradient is rounding alone as far as any other, so the lengths of
    whole tensors are compared.
    """
    (tensors, counters), (others, other_counters) = saved(one), saved(other)
    assert counters == other_counters
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        if is_exact or not tensor.is_floating_point():
            assert torch.equal(tensor, others[name]), name
        else:
            least = SMALLEST * math.sqrt(tensor.numel())
            length = max(float(tensor.norm()), least)
            assert float((tensor - others[name]).norm()) <= ROUNDING * length, name


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks have saved of every run."""
    folder = tmp_path_factory.mktemp("two")
    two = ("--standalone", "--nproc-per-node", "2", "-m", "tests.lab.train.rank")
    run = torchrun((*two, str(folder)))
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_train_as_one_does(by_two: Path, tmp_path: Path, name: str) -> None:
    figures = finish(trainer(name), tmp_path)
    assert_same(tmp_path, by_two / name)
    told = json.loads((by_two / name / "figures.json").read_text())
    assert told == pytest.approx(figures, rel=1e-3, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("name", ["rollouts", "denoising"])
def test_a_run_of_two_ranks_goes_on_exactly_and_with_one_to_rounding(
    by_two: Path, tmp_path: Path, name: str
) -> None:
    assert_same(by_two / name, by_two / "again" / name, is_exact=True)
    alone = trainer(name, seed=9)
    load_run(by_two / "half" / name, alone)
    assert alone.num_updates == 2
    finish(alone, tmp_path)
    assert_same(by_two / name, tmp_path)


@pytest.mark.parametrize("name", ["rollouts", "siblings", "denoising", "drawn"])
def test_gradients_add_up_over_the_parts_of_an_update(tmp_path: Path, name: str) -> None:
    figures = finish(trainer(name), tmp_path / "whole")
    told = finish(trainer(name, num_parts=4), tmp_path / "parts")
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert told == pytest.approx(figures, rel=1e-3, abs=1e-4, nan_ok=True)


def test_rows_that_cannot_be_shared_evenly_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="num_rows = 8: must be a multiple of 1 processes x 3 parts"
    ):
        trainer("rollouts", num_parts=3)
    with pytest.raises(ConfigError, match="0 parts"):
        trainer("rollouts", num_parts=0)
    # Siblings stay together.
    with pytest.raises(ConfigError, match="num_rows"):
        trainer("siblings", num_parts=8)


def of_the_page(number: int, output: Path) -> list[str]:
    """Return a command of the how-to page for two processes without a GPU, and a tiny model."""
    words = shlex.split(COMMANDS[number].replace("runs/nqueens-10", str(output)))
    for option in ("--device", "--minutes"):
        del words[words.index(option) : words.index(option) + 2]
    words[words.index("--nproc-per-node") + 1] = "2"
    words[words.index("nqueens-10")] = "nqueens-5"
    return [*words, *SMALL]


def test_a_run_of_the_page_goes_on_after_a_process_was_killed(tmp_path: Path) -> None:
    killed, alone, whole = (tmp_path / name for name in ("killed", "alone", "whole"))
    command = of_the_page(0, killed)
    command[command.index("gram_lab")] = "tests.lab.train.rank"
    run = torchrun(command)
    assert run.returncode != 0
    assert "Signal 9 (SIGKILL)" in run.stderr
    (sentence,) = re.findall("^gram-lab train: .*$", run.stderr, re.MULTILINE)
    assert "a process of this run has ended" in sentence
    _, counters = saved(killed / "run")
    assert counters["num_updates"] == 2

    shutil.copytree(killed, alone)
    run = torchrun(of_the_page(1, killed))
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("0% measuring") == 1
    assert "2 processes of " in (killed / "CARD.md").read_text()
    (line,) = (killed / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["updates"] == UPDATES

    command = ["train", "nqueens-5", *SMALL, "--output"]
    assert cli.main([*command, str(alone), "--resume", str(alone)]) == 0
    assert cli.main([*command, str(whole)]) == 0
    assert_same(whole / "run", killed / "run")
    assert_same(whole / "run", alone / "run")
