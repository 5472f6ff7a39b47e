"""``gram-lab train``: trains a model, evaluates it and writes its ``CARD.md``."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from gram_core.checkpoint import LoadedModel
from gram_core.errors import ConfigError
from gram_core.flops import inference_parameters, step_flops
from gram_lab.data.instances import read_cases
from gram_lab.evaluate.published import paper_step_flops
from gram_lab.evaluate.report import measure
from gram_lab.evaluate.samples import last_answers
from gram_lab.evaluate.tables import blank_case
from gram_lab.evaluate.variants import Plan, Variant
from gram_lab.train import command
from gram_lab.train.command import Trained

CARD_FILE = "CARD.md"
NUM_CASES = 100
MIN_CASES = 8
MAX_FLOP = 3e12
"""FLOP of all trajectories at full depth, one or two minutes of a core; limits the cases."""
WIDTH = 8


def main(arguments: Sequence[str]) -> int:
    return command.main(arguments, finish=write_card)


def write_card(trained: Trained) -> None:
    loaded, info = trained.loaded, trained.loaded.info
    own, paper = step_flops(loaded.model.config, loaded.task), paper_step_flops(loaded.task)
    lines = [
        f"# {info.name}",
        "",
        f"GRAM for {info.task}, fingerprint `{info.fingerprint}`. {info.num_parameters:,} "
        f"parameters, {inference_parameters(loaded.model):,} of them at inference; "
        f"{own / 1e6:,.1f} MFLOP a supervision step. The paper's 10 M model takes "
        f"{paper / 1e6:,.0f} MFLOP a step on this task (computed from its published sizes), "
        f"{paper / own:,.0f} times as many.",
        "",
        f"Trained {trained.minutes:.1f} minutes ({trained.num_updates:,} updates) on "
        f"{trained.hardware}:",
        "",
        f"    {trained.command}",
        "",
        *_measured(loaded),
        "",
        "Recipe:",
        "",
        "```json",
        json.dumps(asdict(trained.recipe), indent=1),
        "```",
        "",
    ]
    (trained.folder / CARD_FILE).write_text("\n".join(lines), encoding="utf-8")


def _measured(loaded: LoadedModel) -> list[str]:
    """Return solve rates, or how many boards of a model that generates are valid at the end."""
    depth = loaded.info.depth
    if loaded.info.purpose == "generate":
        case, variant = blank_case(loaded), Variant(loaded=loaded, augment=False)
        (run,) = variant.run([case], Plan(), width=NUM_CASES, depth=depth)
        share = 100 * last_answers(loaded.task, [case], run).is_valid.mean()
        return [f"Of {NUM_CASES} boards made up in {depth} steps, {share:.0f} % were valid."]
    per_case = step_flops(loaded.model.config, loaded.task) * WIDTH * depth
    number = min(NUM_CASES, max(MIN_CASES, int(MAX_FLOP / per_case)))
    try:
        cases = read_cases(loaded.task, None, limit=number)
    except ConfigError:
        return ["Evaluate it on files of your own: `gram-lab evaluate`."]
    report = measure(loaded, cases, width=WIDTH, depth=depth, is_complete=True)[0]
    shares = report.solved_by_width.items()
    coverage = [] if report.coverage is None else ["", f"Coverage {100 * report.coverage:.1f} %."]
    return [
        f"On {report.instances} held-out instances, width {WIDTH}, depth {depth}:",
        "",
        "| width | solved |",
        "|---|---|",
        *(f"| {width} | {100 * share:.1f} % |" for width, share in shares),
        *coverage,
    ]
