"""How figures are measured: seeds, batches, ablations; and runs of a model under such a plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gram_core import puzzles
from gram_core.checkpoint import LoadedModel
from gram_core.flops import inference_parameters, step_flops
from gram_lab.console import ProgressBar
from gram_lab.data.instances import Case
from gram_lab.evaluate.table import Facts
from gram_lab.evaluate.variants import ABLATIONS, FULL, Variant, applied
from gram_lab.machine import hardware
from gram_lab.rollouts import EAGER, Recorder, Rollouts, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for besides the model and the puzzles."""

    command: str
    """As a reader would type it."""
    running: Running = EAGER
    seeds: tuple[int, ...] = (0,)
    """Every figure is the mean over them."""
    has_ablations: bool = True
    twins: tuple[LoadedModel, ...] = ()
    """Deterministic checkpoints to set beside the models of their tasks."""

    def facts(self, loaded: LoadedModel, cases: Sequence[Case], data: str) -> Facts:
        """Return what a reader needs to repeat a measurement of a model on cases."""
        return Facts(
            command=self.command,
            model=loaded.info.id,
            parameters=loaded.info.num_parameters,
            inference_parameters=inference_parameters(loaded.model),
            flop_per_step=step_flops(loaded.model.config, loaded.task),
            data=data,
            puzzles=len(cases),
            seeds=self.seeds,
            precision="bf16" if self.running.is_bf16 else "fp32",
            hardware=hardware(loaded.model.z0_high.device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to run one checkpoint."""

    name: str
    loaded: LoadedModel
    augment: bool

    @property
    def step_flops(self) -> int:
        """Return the FLOP of its supervision step."""
        return step_flops(self.loaded.model.config, self.loaded.task)

    def run(self, cases: Sequence[Case], plan: Plan, *, width: int, depth: int) -> list[Rollouts]:
        """Return the rollouts of every seed."""
        family = puzzles.family(self.loaded.task.family)
        encoded = [family.encode(case.instance) for case in cases]
        recorder = Recorder(self.loaded.model, self.loaded.task, plan.running)
        bar = ProgressBar()
        found = [
            recorder.run(
                encoded,
                width=width,
                depth=depth,
                seed=seed,
                augment=self.augment,
                progress=_shown(bar, f"{self.loaded.info.name}: {self.name}"),
            )
            for seed in plan.seeds
        ]
        bar.close()
        return found


def contenders(
    loaded: LoadedModel, plan: Plan, *, ablations: Sequence[Variant] = ABLATIONS
) -> list[Contender]:
    """Return the model itself, its ablations, and its deterministic twin where one is given.

    Args:
        loaded: the model.
        plan: whether ablations are wanted, and the twins that there are.
        ablations: those to choose from; what the model lacks cannot be taken away.
    """
    wanted = ablations if plan.has_ablations else ()
    changed = [variant for variant in wanted if _matters(loaded, variant)]
    twins = [twin for twin in plan.twins if twin.task.name == loaded.task.name]
    return [_contender(loaded, each) for each in (FULL, *changed)] + [
        Contender(name="deterministic twin", loaded=twin, augment=True) for twin in twins
    ]


def _contender(loaded: LoadedModel, variant: Variant) -> Contender:
    name = variant.name if variant is FULL else f"{FULL.name}, {variant.name}"
    return Contender(name=name, loaded=applied(loaded, variant), augment=variant.augment)


def _matters(loaded: LoadedModel, variant: Variant) -> bool:
    """Say whether a variant changes anything: guidance that the model lacks cannot be removed."""
    return loaded.model.config.guidance == "learned" or variant.guidance is None


def _shown(bar: ProgressBar, text: str) -> Callable[[float], None]:
    return lambda share: bar.show(share, text)
