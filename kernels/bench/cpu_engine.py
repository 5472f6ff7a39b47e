"""The engine on a processor beside its first version and beside a plain eager loop, in one run.

    python kernels/bench/cpu_engine.py [--rounds N] [--threads N] [--output docs/benchmarks]

Checks the first version, tag ``engine-v1``, out into a temporary worktree. The three take turns, in
processes of their own, on the same small models, instances, seeds and depth, and no trajectory
leaves early. Figures are medians over the rounds; where solutions differ nothing is reported.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch

from gram_core.config import GramConfig

ROOT = Path(__file__).parents[2]
LOAD = Path(__file__).with_name("cpu_engine_load.py")
PATHS = (".", "kernels", "server", "clients/python")
TAG = "engine-v1"
TAGGED = "69d497ed99282d15a9b56392421a25374d23edba"
"""What the tag names; clones without tags find it in the history."""
LIMIT_S = 600
Json = dict[str, object]


class Load(NamedTuple):
    """One model and batch: ``num_jobs`` instances one after the other."""

    model: str
    batch: int
    depth: int
    num_jobs: int


# Deep enough that no puzzle hangs on one trajectory, which the rounding of a path may tip.
LOADS = (
    Load("sudoku-9x9", 1, 32, 3),
    Load("sudoku-9x9", 8, 32, 3),
    Load("sudoku-9x9", 64, 32, 1),
    Load("nqueens-8", 1, 16, 6),
    Load("nqueens-8", 8, 16, 6),
    Load("nqueens-8", 64, 16, 2),
)
CONTENDERS = ("now", TAG, "eager")
CLOCKS = {
    "trajectory_steps_per_s": "Trajectory-steps per second",
    # What other work on the machine disturbs least.
    "trajectory_steps_per_cpu_s": "Trajectory-steps per second of processor time",
}


def main() -> int:
    """Measure; return 1 where solutions differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--output", type=Path, help="folder for engine-cpu.json and engine-cpu.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / TAG
        git("worktree", "add", "--detach", str(old), TAGGED)
        try:
            results = [
                measured(load, old, rounds=options.rounds, num_threads=options.threads)
                for load in LOADS
                if load.batch in options.batches
            ]
        finally:
            git("worktree", "remove", "--force", str(old))
    report: Json = {"environment": environment(options), "results": results}
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    is_sound = all(result["solutions"] == "identical" for result in results)
    if options.output is not None and is_sound:
        (options.output / "engine-cpu.json").write_text(text, encoding="utf-8")
        (options.output / "engine-cpu.md").write_text(page(report), encoding="utf-8")
    return 0 if is_sound else 1


def measured(load: Load, old: Path, *, rounds: int, num_threads: int) -> Json:
    """Let the contenders take turns at one load."""
    lend(load.model, old)
    runs: dict[str, list[Json]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            tree = old if name == TAG else ROOT
            kind = "eager" if name == "eager" else "engine"
            runs[name].append(run(tree, load, kind, num_threads))
    result: Json = dict(load._asdict())
    found = {json.dumps(run["solutions"]) for name in CONTENDERS for run in runs[name]}
    if len(found) > 1:
        return result | {"solutions": "differ", "refused": {n: runs[n][0] for n in CONTENDERS}}
    result |= {
        "solutions": "identical",
        "num_solutions": sum(map(len, json.loads(found.pop()))),
        "runners": {name: runs[name][0]["runner"] for name in CONTENDERS},
    }
    for clock in CLOCKS:
        all_speeds = {n: [float(str(run[clock])) for run in runs[n]] for n in CONTENDERS}
        speeds = {name: statistics.median(all_speeds[name]) for name in CONTENDERS}
        result[clock] = {
            "medians": speeds,
            "all": all_speeds,
            "against_first_version": speeds["now"] / speeds[TAG],
            "against_eager_loop": speeds["now"] / speeds["eager"],
        }
    return result


def lend(model: str, old: Path) -> None:
    """Give the old tree today's weights of a model, in the words that its configuration has."""
    source, target = (tree / "gram_core/weights" / model for tree in (ROOT, old))
    config, known = (
        json.loads((folder / "config.json").read_text()) for folder in (source, target)
    )
    sizes = config["architecture"]
    for name in sizes.keys() - known["architecture"].keys():
        default = GramConfig.__dataclass_fields__[name].default
        if sizes.pop(name) != default:
            raise ValueError(f"{model} needs {name}, which the first version has not")
    shutil.copy(source / "model.safetensors", target)
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")


def run(tree: Path, load: Load, kind: str, num_threads: int) -> Json:
    """Run one load in a tree; the first run there may build what it needs."""
    numbers = (load.batch, load.depth, load.num_jobs, num_threads)
    paths = [str(tree / path) for path in PATHS]
    done = subprocess.run(
        [sys.executable, str(LOAD), load.model, *map(str, numbers), kind],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    result: Json = json.loads(done.stdout.splitlines()[-1])
    return result


def environment(options: argparse.Namespace) -> Json:
    """Return what the numbers depend on."""
    return {
        "processor": processor(),
        "num_threads": options.threads,
        "rounds": options.rounds,
        "commit": git("rev-parse", "--short", "HEAD").strip(),
        "first_version": git("rev-parse", "--short", TAGGED).strip(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def processor() -> str:
    """Return the processor's name and what it has for products."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.machine()
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = fields.get("flags", "").split()
    units = [flag for flag in ("avx2", "avx512f", "amx_bf16") if flag in flags]
    return f"{fields.get('model name', platform.machine())} ({', '.join(units)})"


def git(*arguments: str) -> str:
    """Run git in this tree; return what it prints."""
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def page(report: Json) -> str:
    """Return the report as a short Markdown page."""
    setting, results = report["environment"], report["results"]
    assert isinstance(setting, dict)
    assert isinstance(results, list)
    lines = [
        "# The engine on a processor",
        "",
        "Medians of {rounds} round(s) in which the engine, its first version and a plain eager "
        "loop take turns. {processor}, {num_threads} thread(s), torch {torch}, commit {commit} "
        "against {first_version} (tag engine-v1); load average at the end {load_average:.1f}. "
        "Same weights, instances, seeds and steps; the sets of distinct valid solutions are "
        "identical.".format(**setting),
        "",
        "`python kernels/bench/cpu_engine.py --output docs/benchmarks`",
    ]
    for clock, title in CLOCKS.items():
        lines += [
            "",
            f"{title}:",
            "",
            "| model | batch | engine | first version | plain eager loop "
            "| against first version | against eager loop |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for result in results:
            speeds, measured = result[clock]["medians"], result[clock]
            lines.append(
                f"| {result['model']} | {result['batch']} | {speeds['now']:.0f} "
                f"| {speeds[TAG]:.0f} | {speeds['eager']:.0f} "
                f"| {measured['against_first_version']:.1f}x "
                f"| {measured['against_eager_loop']:.1f}x |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
