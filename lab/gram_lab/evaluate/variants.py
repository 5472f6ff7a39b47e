"""The variants of a checkpoint that a measurement compares: whole, and with parts removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.config import Guidance
from gram_core.flops import inference_parameters, step_flops
from gram_core.model import Gram
from gram_lab.console import progress_bar
from gram_lab.data.instances import Case
from gram_lab.evaluate.samples import Samples
from gram_lab.evaluate.table import Json, Row
from gram_lab.intervals import Figure
from gram_lab.machine import hardware
from gram_lab.rollouts import DEFAULT, Recorder, Rollouts, Running, Stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How figures are measured, for any model and puzzles."""

    command: str = ""
    """As a reader would type it."""
    running: Running = DEFAULT
    seeds: tuple[int, ...] = (0,)
    """Every figure is the mean over them."""
    has_ablations: bool = True
    twins: tuple[LoadedModel, ...] = ()
    """Deterministic checkpoints to compare with the models of their tasks."""

    def facts(self, loaded: LoadedModel, cases: Sequence[Case], data: str) -> Json:
        """Return what a reader needs to repeat a measurement."""
        return {
            "command": self.command,
            "model": loaded.info.id,
            "parameters": loaded.info.num_parameters,
            "inference_parameters": inference_parameters(loaded.model),
            "flop_per_step": step_flops(loaded.model.config, loaded.task),
            "data": data,
            "puzzles": len(cases),
            "seeds": self.seeds,
            "precision": self.running.precision,
            "hardware": hardware(loaded.model.z0_high.device),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to run one checkpoint."""

    name: str = "ours"
    """What the rows of tables call it."""
    loaded: LoadedModel
    augment: bool = True
    """Whether trajectories use symmetry views."""

    def run(
        self,
        cases: Sequence[Case],
        plan: Plan,
        *,
        width: int,
        depth: int,
        stops: Stops = "never",
    ) -> list[Rollouts]:
        family = puzzles.family(self.loaded.task.family)
        encoded = [family.encode(case.instance) for case in cases]
        recorder = Recorder(self.loaded.model, self.loaded.task, plan.running)
        text = f"{self.loaded.info.name}: {self.name}"
        with progress_bar() as show:
            return [
                recorder.run(
                    encoded,
                    width=width,
                    depth=depth,
                    seed=seed,
                    augment=self.augment,
                    stops=stops,
                    progress=lambda share: show(share, text),
                )
                for seed in plan.seeds
            ]

    def row(
        self,
        text: str,
        figures: Mapping[str, Figure | float],
        *,
        steps: float,
        seeds: Sequence[Samples] = (),
    ) -> Row:
        """Return a row of measured figures; ``steps`` is the mean number per puzzle."""
        return Row(
            name=f"{self.name}, {text}" if text else self.name,
            mismatches=int(sum(samples.num_mismatches.sum() for samples in seeds)),
            steps_per_puzzle=steps,
            flop_per_puzzle=steps * step_flops(self.loaded.model.config, self.loaded.task),
            figures=figures,
        )


class Ablation(NamedTuple):
    """A part of the method to remove while keeping the weights."""

    name: str
    guidance: Guidance | None = None
    """Guidance put in place of the checkpoint's own."""
    augment: bool = True


ABLATIONS = (
    Ablation("no noise (sigma = 0)", guidance="mean"),
    Ablation("undirected noise (mu = 0)", guidance="noise"),
    Ablation("no views", augment=False),
    Ablation("no noise, no views", guidance="mean", augment=False),
)


def variants(loaded: LoadedModel, plan: Plan) -> list[Variant]:
    """Return the model, its ablations that apply, and its deterministic twin, as planned."""
    has_guidance = loaded.model.config.guidance == "learned"
    ablations = ABLATIONS if plan.has_ablations else ()
    twins = [twin for twin in plan.twins if twin.task.name == loaded.task.name]
    return [
        Variant(loaded=loaded),
        *(ablated(loaded, each) for each in ablations if has_guidance or each.guidance is None),
        *(Variant(name="deterministic twin", loaded=twin) for twin in twins),
    ]


def ablated(loaded: LoadedModel, ablation: Ablation) -> Variant:
    if ablation.guidance is not None:
        model = Gram(replace(loaded.model.config, guidance=ablation.guidance), loaded.task.units)
        model.load_state_dict(loaded.model.state_dict())
        model.to(loaded.model.z0_high.device).eval().requires_grad_(False)
        loaded = replace(loaded, model=model)
    return Variant(name=f"ours, {ablation.name}", loaded=loaded, augment=ablation.augment)
