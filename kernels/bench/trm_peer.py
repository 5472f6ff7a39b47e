"""Our engine beside the official code of TRM: its Sudoku MLP configuration, the same weights.

    git clone https://github.com/SamsungSAILMontreal/TinyRecursiveModels PEER
    pip install einops
    python kernels/bench/trm_peer.py --peer PEER [--batches 1 8 32] [--output docs/benchmarks]

Random weights of the peer are loaded into a checkpoint of ours, and both must compute the same
numbers before anything is timed. The peer runs as it is, and through ``torch.compile`` as its own
training script does; in bfloat16, its default, beside ours with ``--precision bf16``, and in
float32 beside ours as it is. Each contender takes its turn in every round; figures are
medians. Nothing of the peer is part of this repository.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from cpu_engine import processor

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel, load_model, save_model
from gram_core.config import GramConfig
from gram_core.model import Gram
from gram_server.engine import EngineJob, Trajectory
from gram_server.engine.runner import Runner, StepReport
from gram_server.engine.slots import Arrangement, Placement
from gram_server.worker.loading import make_runner

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, object]
TASK = "sudoku-9x9"
NUM_CHECKED_STEPS = 2
TOLERANCE = 2e-3
MIN_AGREEMENT = 0.99
PEER_CONFIG: dict[str, object] = {
    "seq_len": 81,
    "vocab_size": 11,
    "puzzle_emb_ndim": 0,
    "puzzle_emb_len": 0,
    "num_puzzle_identifiers": 1,
    "H_cycles": 3,
    "L_cycles": 6,
    "H_layers": 0,
    "L_layers": 2,
    "hidden_size": 512,
    "expansion": 4,
    "num_heads": 8,
    "pos_encodings": "none",
    "halt_max_steps": 16,
    "halt_exploration_prob": 0.1,
    "mlp_t": True,
}
OUR_CONFIG = GramConfig(
    vocabulary=11,
    length=81,
    rows=9,
    columns=9,
    dim=512,
    num_heads=8,
    ffn_dim=1536,
    guidance_dim=1,
    num_low_blocks=2,
    num_high_blocks=2,
    num_inner_steps=6,
    num_transitions=3,
    mixer="token",
    token_ffn_dim=256,
    mixer_norm="tokens",
    rotary="none",
    guidance="none",
    readout="first",
)


class Peer:
    """The official model at one batch size and precision, from its first step on."""

    def __init__(self, module: Any, weights: Any, *, givens: torch.Tensor, dtype: str) -> None:
        config = {**PEER_CONFIG, "batch_size": len(givens), "forward_dtype": dtype}
        self.model = module.TinyRecursiveReasoningModel_ACTV1(config).eval()
        self.model.load_state_dict(weights)
        self.call: Callable[..., Any] = self.model
        identifiers = torch.zeros(len(givens), dtype=torch.int32)
        self.batch = {"inputs": givens.int(), "puzzle_identifiers": identifiers}
        with torch.inference_mode():
            self.carry = self.model.initial_carry(self.batch)

    def step(self) -> Any:
        """Take one supervision step; return the outputs."""
        with torch.inference_mode():
            self.carry, outputs = self.call(self.carry, self.batch)
        return outputs


class Ours:
    """Our rows at one batch size."""

    def __init__(self, loaded: LoadedModel, givens: torch.Tensor, *, is_bf16: bool = False) -> None:
        self.runner: Runner = make_runner(
            loaded, num_slots=len(givens), fixed_shape=True, is_bf16=is_bf16
        )
        self.num_rows = len(givens)
        starts = [Placement(row, _trajectory(row, givens[row])) for row in range(self.num_rows)]
        self.runner.arrange(Arrangement(moves=[], starts=starts))

    def step(self) -> StepReport:
        """Take one supervision step, decode and verify; return the report."""
        self.runner.step(self.num_rows)
        return self.runner.read()


def main() -> int:
    """Compare; return 1 where the two do not compute the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True, help="a checkout of the official code")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--output", type=Path, help="folder for trm-peer.json and trm-peer.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sys.path.insert(0, str(options.peer.resolve()))
    module = importlib.import_module("models.recursive_reasoning.trm")
    weights = random_weights(module)
    loaded = converted(weights)
    difference = checked(module, weights, loaded)
    report: Json = {
        "environment": {
            "processor": processor(),
            "num_threads": options.threads,
            "rounds": options.rounds,
            "torch": torch.__version__,
            "load_average": os.getloadavg()[0],
        },
        "check": difference,
    }
    is_same = bool(difference["is_same"])
    if is_same:
        report["results"] = [
            measured(module, weights, loaded, batch, options) for batch in options.batches
        ]
    text = json.dumps(report, indent=2) + "\n"
    sys.stdout.write(text)
    if options.output is not None and is_same:
        (options.output / "trm-peer.json").write_text(text, encoding="utf-8")
        (options.output / "trm-peer.md").write_text(page(report), encoding="utf-8")
    return 0 if is_same else 1


def random_weights(module: Any) -> dict[str, torch.Tensor]:
    """Return the peer's own random weights, rounded to bfloat16, with a halt head that says more
    than its bias."""
    config = {**PEER_CONFIG, "batch_size": 1, "forward_dtype": "float32"}
    weights = module.TinyRecursiveReasoningModel_ACTV1(config).state_dict()
    torch.nn.init.normal_(weights["inner.q_head.weight"], std=0.02)
    return {name: tensor.bfloat16().float() for name, tensor in weights.items()}


def converted(weights: dict[str, torch.Tensor]) -> LoadedModel:
    """Return a checkpoint of ours with the peer's weights, written to disk and read again."""
    task = puzzles.task(TASK)
    model = Gram(OUR_CONFIG)
    ours = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for stack in ("low", "high"):
        for number in range(OUR_CONFIG.num_low_blocks):
            source, target = f"inner.L_level.layers.{number}", f"{stack}.blocks.{number}"
            for part, mine in (("mlp_t", "mixer.mlp"), ("mlp", "mlp")):
                for name in ("gate_up", "down"):
                    ours[f"{target}.{mine}.{name}.weight"] = weights[
                        f"{source}.{part}.{name}_proj.weight"
                    ]
    ours["embedding.weight"] = weights["inner.embed_tokens.embedding_weight"]
    ours["decoder.weight"] = weights["inner.lm_head.weight"]
    ours["halt.weight"] = weights["inner.q_head.weight"]
    ours["halt.bias"] = weights["inner.q_head.bias"]
    ours["z0_high"] = weights["inner.H_init"]
    ours["z0_low"] = weights["inner.L_init"]
    model.load_state_dict(ours)
    with tempfile.TemporaryDirectory() as folder:
        info = save_model(Path(folder), model, name=TASK, task=task, depth=16, dtype=torch.bfloat16)
        return load_model(info)


def checked(module: Any, weights: dict[str, torch.Tensor], loaded: LoadedModel) -> Json:
    """Compare a few steps: our plain model, and our engine, with the peer in float32."""
    givens = boards(3)
    peer, ours = Peer(module, weights, givens=givens, dtype="float32"), Ours(loaded, givens)
    report, outputs = ours.step(), peer.step()
    for _ in range(NUM_CHECKED_STEPS - 1):
        report, outputs = ours.step(), peer.step()
    logits = outputs["logits"][..., 2:].float()
    likely = torch.where(givens == 1, logits.argmax(dim=-1) + 2, givens)
    agreement = float(np.mean(report.answers == likely.numpy()))
    plain = _plain_logits(loaded, givens)
    difference = float((plain - outputs["logits"]).abs().max())
    halts = [bool(value > 0) for value in outputs["q_halt_logits"]]
    return {
        "largest_difference_of_logits": difference,
        "engine_answers_alike": agreement,
        "is_same": difference < TOLERANCE
        and agreement >= MIN_AGREEMENT
        and halts == list(report.wants_halt),
    }


def _plain_logits(loaded: LoadedModel, givens: torch.Tensor) -> torch.Tensor:
    model = loaded.model
    numbers = torch.zeros(len(givens), dtype=torch.int64)
    with torch.inference_mode():
        state, embedding = model.initial_state(numbers, numbers), model.encode(givens)
        for _ in range(NUM_CHECKED_STEPS):
            key: Any = (numbers, numbers, numbers)
            output = model.supervision_step(state, embedding, key)
            state = output.state
    return output.logits


def boards(count: int) -> torch.Tensor:
    """Return random givens, (count, 81) int64 tokens."""
    rng = np.random.default_rng(3)
    family = puzzles.family("sudoku")
    task = puzzles.task(TASK)
    made = [family.generate(task, rng, num_solutions=None) for _ in range(min(count, 4))]
    tokens = [family.encode(instance).tokens.astype(np.int64) for instance in made]
    return torch.from_numpy(np.stack([tokens[row % len(tokens)] for row in range(count)]))


def _trajectory(row: int, givens: torch.Tensor) -> Trajectory:
    job = EngineJob(
        id="peer",
        tokens=givens.numpy().astype(np.uint8),
        width=1,
        depth=16,
        seed=0,
        view=lambda trajectory: None,
        check=lambda tokens: True,
        canonical=lambda tokens: tokens.tobytes(),
    )
    return Trajectory(job=job, index=row, view=None)


def measured(
    module: Any,
    weights: dict[str, torch.Tensor],
    loaded: LoadedModel,
    batch: int,
    options: argparse.Namespace,
) -> Json:
    """Let the contenders take turns at one batch size."""
    givens = boards(batch)
    contenders: dict[str, Callable[[], object]] = {
        "ours bfloat16": Ours(loaded, givens, is_bf16=True).step,
        "ours": Ours(loaded, givens).step,
    }
    for dtype in ("bfloat16", "float32"):
        peer = Peer(module, weights, givens=givens, dtype=dtype)
        contenders[f"peer {dtype}"] = peer.step
        if not options.no_compile:
            compiled = Peer(module, weights, givens=givens, dtype=dtype)
            compiled.call = torch.compile(compiled.model)
            contenders[f"peer {dtype} compiled"] = compiled.step
    durations: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(options.rounds + 1):
        for name, step in contenders.items():
            started_s = time.perf_counter()
            step()
            # The first step of each builds and compiles what it needs.
            if turn:
                durations[name].append(time.perf_counter() - started_s)
    speeds = {name: batch / statistics.median(times) for name, times in durations.items()}
    pairs = {"ours bfloat16": "peer bfloat16", "ours": "peer float32"}
    fastest = {
        ours: max((name for name in speeds if name.startswith(peer)), key=lambda name: speeds[name])
        for ours, peer in pairs.items()
    }
    ratios = {ours: speeds[ours] / speeds[name] for ours, name in fastest.items()}
    return {
        "batch": batch,
        "supervision_steps_per_s": speeds,
        "all_durations_s": durations,
        "fastest_peer": fastest,
        "against_fastest_peer": ratios,
    }


def page(report: Json) -> str:
    """Return the report as a short Markdown page."""
    setting, results = report["environment"], report["results"]
    assert isinstance(setting, dict)
    assert isinstance(results, list)
    lines = [
        "# Beside the official code of TRM",
        "",
        "Its Sudoku MLP configuration (D 512, two blocks, T 3, K 6) without puzzle embedding, "
        "random weights in both. Supervision steps per second of one run, medians of {rounds} "
        "rounds in turns; {processor}, {num_threads} threads, torch {torch}.".format(**setting),
        "",
        "`python kernels/bench/trm_peer.py --peer PEER --output docs/benchmarks`",
        "",
        "Products in bfloat16 (`--precision bf16` for our engine, the peer's default):",
        "",
        *_table(results, "ours bfloat16", "peer bfloat16"),
        "",
        "Products of activations that keep 16 bits (our default), beside the peer's float32:",
        "",
        *_table(results, "ours", "peer float32"),
    ]
    return "\n".join(lines) + "\n"


def _table(results: list[Any], ours: str, peer: str) -> list[str]:
    lines = [
        "| batch | our engine | peer | peer, compiled | against the faster |",
        "|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        speeds = result["supervision_steps_per_s"]
        names = (ours, peer, f"{peer} compiled")
        cells = [f"{speeds[name]:.1f}" if name in speeds else "-" for name in names]
        ratio = f"{result['against_fastest_peer'][ours]:.2f}x"
        lines.append(" | ".join([f"| {result['batch']}", *cells, ratio]) + " |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
