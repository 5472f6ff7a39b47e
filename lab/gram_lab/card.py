"""``gram-lab train``: trains a model, evaluates it and writes its ``CARD.md``."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from gram_core.checkpoint import LoadedModel
from gram_core.errors import ConfigError
from gram_core.flops import inference_parameters, step_flops
from gram_lab.data.instances import read_cases
from gram_lab.evaluate.generation_table import blank_case, generators, sampled, validity
from gram_lab.evaluate.measure import measure
from gram_lab.evaluate.plan import Plan
from gram_lab.evaluate.published import paper_step_flops
from gram_lab.evaluate.report import Report
from gram_lab.train import command
from gram_lab.train.command import Trained

CARD_FILE = "CARD.md"
NUM_CASES = 100
MIN_CASES = 8
MAX_FLOP = 3e12
"""Of all trajectories in their full length: a minute or two of one core; large boards are fewer."""
WIDTH = 8


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    return command.main(arguments, finish=write_card)


def write_card(trained: Trained) -> None:
    """Evaluate a fresh checkpoint on held-out instances and write its card."""
    loaded, info = trained.loaded, trained.loaded.info
    lines = [
        f"# {info.name}",
        "",
        f"GRAM for {info.task}, fingerprint `{info.fingerprint}`. {cost_sentences(loaded)}",
        "",
        f"Trained {trained.minutes:.1f} minutes ({trained.num_updates:,} updates) on "
        f"{trained.hardware}:",
        "",
        f"    {trained.command}",
        "",
        *_results(loaded),
        "",
        "Recipe:",
        "",
        "```json",
        json.dumps(asdict(trained.recipe), indent=1),
        "```",
        "",
    ]
    (trained.folder / CARD_FILE).write_text("\n".join(lines), encoding="utf-8")


def cost_sentences(loaded: LoadedModel) -> str:
    """Return what a model is made of and what its step costs, beside the paper's."""
    own = step_flops(loaded.model.config, loaded.task)
    paper = paper_step_flops(loaded.task)
    return (
        f"{loaded.info.num_parameters:,} parameters, {inference_parameters(loaded.model):,} of "
        f"them at inference; {own / 1e6:,.1f} MFLOP a supervision step. The paper's 10 M model "
        f"takes {paper / 1e6:,.0f} MFLOP a step on this task (computed from its published sizes), "
        f"{paper / own:,.0f} times as many."
    )


def _results(loaded: LoadedModel) -> list[str]:
    if loaded.info.purpose == "generate":
        return [_raw_validity(loaded)]
    per_case = step_flops(loaded.model.config, loaded.task) * WIDTH * loaded.info.depth
    number = min(NUM_CASES, max(MIN_CASES, int(MAX_FLOP / per_case)))
    try:
        cases = read_cases(loaded.task, None, limit=number)
    except ConfigError:
        return ["Evaluate it on files of your own: `gram-lab evaluate`."]
    report = measure(loaded, cases, width=WIDTH, depth=loaded.info.depth, is_complete=True)[0]
    return [
        f"On {report.instances} held-out instances, width {WIDTH}, depth {report.depth}:",
        "",
        *_rows(report),
    ]


def _raw_validity(loaded: LoadedModel) -> str:
    plan, depth = Plan(command=""), loaded.info.depth
    ours = generators(loaded, plan)[0]
    samples = sampled(ours, blank_case(loaded), plan, num_samples=NUM_CASES, depth=depth)
    share = 100 * validity(samples)
    return f"Of {NUM_CASES} boards made up in {depth} steps, {share:.0f} % were valid."


def _rows(report: Report) -> list[str]:
    shares = [
        f"| {width} | {100 * share:.1f} % |" for width, share in report.solved_by_width.items()
    ]
    coverage = [] if report.coverage is None else ["", f"Coverage {100 * report.coverage:.1f} %."]
    return ["| width | solved |", "|---|---|", *shares, *coverage]
