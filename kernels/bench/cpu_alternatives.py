"""What else could run the step on a processor: inductor, and products of 8-bit integers.

    python kernels/bench/cpu_alternatives.py [--data PUZZLES.tsv] [--output docs/benchmarks]

Inductor: the model's own step through ``torch.compile``, the seconds until its first result and
the milliseconds of a step after that, in turns with the native step. Integers: the time of the
step's products by ``torch._int_mm`` beside float32 and bfloat16, without the rounding of
activations that they need; and the solve rates when weights (by output) and activations (by
token) are rounded to 8 bits in every linear layer of the blocks. Figures are medians.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from cpu_engine import processor
from timing import median_s
from torch import Tensor, nn
from torch._inductor import config as inductor_config
from trm_peer import Ours

from gram_core.catalog import find_model
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.evaluation.instances import Case, read_cases
from gram_core.evaluation.measure import measure
from gram_core.evaluation.rollouts import Running
from gram_core.state import NoiseKey

Json = dict[str, object]
MODEL = "sudoku-9x9"
LARGEST = 127.0
BUDGET_S = 0.3
WIDTH, DEPTH = 4, 32


def main() -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num-steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data", type=Path, help="puzzles as for gram-server evaluate")
    parser.add_argument("--limit", type=int, default=100, help="puzzles")
    parser.add_argument("--output", type=Path, help="folder for cpu-alternatives.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # A first start finds nothing in them.
    inductor_config.force_disable_caches = True
    loaded = load_model(find_model(MODEL))
    cases = read_cases(loaded.task, options.data, limit=options.limit)
    report: Json = {
        "environment": {
            "processor": processor(),
            "torch": torch.__version__,
            "threads": options.threads,
            "model": loaded.info.id,
        },
        "inductor": [
            measure_inductor(loaded, batch, num_rounds=options.rounds, num_steps=options.num_steps)
            for batch in options.batches
        ],
        "products": [measure_products(loaded, batch) for batch in options.batches],
        "rounding": measure_rounding(loaded, cases),
    }
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "cpu-alternatives.json").write_text(text + "\n")
    return 0


def measure_inductor(loaded: LoadedModel, batch: int, *, num_rounds: int, num_steps: int) -> Json:
    """Return how long a compiled step takes to come, and then to run, beside the native one."""
    givens = torch.ones(batch, loaded.task.length, dtype=torch.int64)
    compiled, native = _compiled_step(loaded, givens), Ours(loaded, givens).step
    started_s = time.perf_counter()
    compiled()
    first_s = time.perf_counter() - started_s
    native()
    steps = {"inductor": compiled, "native": native}
    rounds = [
        {name: _ms(step, num_steps) for name, step in steps.items()} for _ in range(num_rounds)
    ]
    medians = {name: statistics.median(each[name] for each in rounds) for name in steps}
    return {
        "batch": batch,
        "first_step_s": round(first_s, 2),
        "step_ms": {name: round(median, 3) for name, median in medians.items()},
        "native_is": round(medians["inductor"] / medians["native"], 2),
    }


def _compiled_step(loaded: LoadedModel, givens: Tensor) -> Callable[[], object]:
    """Return a call of the model's own supervision step, compiled as float32."""
    torch.compiler.reset()
    model = loaded.model
    advance = torch.compile(model.supervision_step, dynamic=False)
    numbers = torch.arange(len(givens))
    key = NoiseKey(numbers, numbers.clone(), torch.zeros_like(numbers))
    with torch.inference_mode():
        state, embedding = model.initial_state(key.seed, key.trajectory), model.encode(givens)

    def call() -> object:
        with torch.inference_mode():
            return advance(state, embedding, key, None)

    return call


def measure_products(loaded: LoadedModel, batch: int) -> Json:
    """Return the milliseconds of every product of one pass through the low-level blocks."""
    num_rows = batch * loaded.task.length
    shapes = [(layer.in_features, layer.out_features) for layer in _layers(loaded)]
    calls: dict[str, list[Callable[[], object]]] = {"float32": [], "bfloat16": [], "int8": []}
    for num_in, num_out in shapes:
        x, weight = torch.randn(num_rows, num_in), torch.randn(num_in, num_out)
        x8, weight8 = (each.mul(30).clamp(-127, 127).to(torch.int8) for each in (x, weight))
        x16, weight16 = x.bfloat16(), weight.bfloat16()
        calls["float32"].append(partial(torch.mm, x, weight))
        calls["bfloat16"].append(partial(torch.mm, x16, weight16))
        calls["int8"].append(partial(torch._int_mm, x8, weight8))
    return {
        "batch": batch,
        "products": len(shapes),
        "ms": {
            name: round(1e3 * sum(median_s(call, "cpu", budget_s=BUDGET_S) for call in each), 3)
            for name, each in calls.items()
        },
    }


def _layers(loaded: LoadedModel) -> list[nn.Linear]:
    return [layer for layer in loaded.model.low.modules() if isinstance(layer, nn.Linear)]


def measure_rounding(loaded: LoadedModel, cases: list[Case]) -> Json:
    """Return the solve rates as they are, and with 8-bit weights and activations."""
    found: Json = {"puzzles": len(cases), "width": WIDTH, "depth": DEPTH}
    found["as it is"] = _solved(loaded, cases)
    with rounded_to_8_bits(loaded.model):
        found["8 bits"] = _solved(loaded, cases)
    return found


def _solved(loaded: LoadedModel, cases: list[Case]) -> Json:
    [report] = [
        each
        for each in measure(loaded, cases, width=WIDTH, depth=DEPTH, running=Running(num_rows=64))
        if each.group == "all"
    ]
    return {
        "single": report.single,
        "solved": report.solved,
        "steps_per_puzzle": report.steps_per_puzzle,
    }


@contextmanager
def rounded_to_8_bits(model: nn.Module) -> Iterator[None]:
    """Round what goes into every linear layer, by token, and its weights, by output.

    The sums are exact integers in float32, as 8-bit units would have them.
    """
    hooks, kept = [], {}
    for layer in (module for module in model.modules() if isinstance(module, nn.Linear)):
        kept[layer] = layer.weight.data
        layer.weight.data = _rounded(layer.weight.data)
        hooks.append(layer.register_forward_pre_hook(lambda _, inputs: (_rounded(inputs[0]),)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer, weight in kept.items():
            layer.weight.data = weight


def _rounded(x: Tensor) -> Tensor:
    """Return x (..., n) on 255 levels of its own for each row."""
    scale = x.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / LARGEST
    return (x / scale).round() * scale


def _ms(call: Callable[[], object], count: int) -> float:
    started_s = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started_s) * 1e3 / count


if __name__ == "__main__":
    raise SystemExit(main())
