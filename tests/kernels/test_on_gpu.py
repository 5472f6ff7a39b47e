"""What only a GPU can show: real sizes, real bits, launches counted, nothing that waits."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gram_core.catalog import find_model, shipped_models
from gram_core.checkpoint import load_model
from gram_core.model_step import ModelStep
from gram_core.solve import unit_tables
from gram_core.step_weights import has_step_weights, step_weights
from gram_kernels.supervision_step import Step, StepRows, bind, can_fuse
from gram_kernels.tokens import NUM_FACTS
from gram_server.engine.model_runner import captured
from tests.kernels.conftest import chosen_rows, copied, drawn_rows

pytestmark = [
    pytest.mark.gpu,
    # What torch says of its own tools when they are switched on.
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning"),
    pytest.mark.filterwarnings("ignore:Warning. Profiler clears events:UserWarning"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

MODELS = tuple(info.name for info in shipped_models())
MAX_KERNELS_PER_STEP = 4
MIN_AGREEMENT = 0.98


def random_rows(name: str, num_rows: int, seed: int) -> StepRows:
    loaded = load_model(find_model(name))
    task, dim = loaded.task, loaded.model.config.dim
    rng = torch.Generator().manual_seed(seed)
    most, has_edges = task.vocabulary - 1, task.has_adjacency
    return drawn_rows(num_rows, task.length, dim, rng, most=most, has_edges=has_edges)


def on_gpu(rows: StepRows) -> StepRows:
    return copied(rows, lambda table: table.cuda())


def put_back(rows: StepRows, kept: StepRows) -> None:
    for table, value in zip(rows, kept, strict=True):
        if table is not None and value is not None:
            table.copy_(value)


def is_fused(name: str) -> bool:
    loaded = load_model(find_model(name))
    has_weights = has_step_weights(loaded.model.config, loaded.task.units)
    return has_weights and can_fuse(step_weights(loaded.model, loaded.task.units))


def bound(name: str, rows: StepRows) -> Step:
    """Return the step in float16 that a GPU would run for the model."""
    loaded = load_model(find_model(name), "cuda")
    if not is_fused(name):
        return ModelStep(rows, loaded.model, loaded.task, dtype=torch.float16)
    weights = step_weights(loaded.model, loaded.task.units)
    return bind(rows, weights, unit_tables(loaded.task), dtype=torch.float16, backend="triton")


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_shipped_weights_is_near_float64(name: str) -> None:
    expected = random_rows(name, 9, seed=1)
    made = on_gpu(expected)
    loaded = load_model(find_model(name))
    ModelStep(expected, loaded.model.double(), loaded.task)(9)
    bound(name, made)(9)
    # The median says how good the arithmetic is; single elements may stand on a steep slope.
    for table, truth in ((made.high, expected.high), (made.low, expected.low)):
        assert float((table.cpu() - truth).abs().median()) < 5e-3
    agreement = (made.facts[:, NUM_FACTS:].cpu() == expected.facts[:, NUM_FACTS:]).float().mean()
    assert float(agreement) > MIN_AGREEMENT


@pytest.mark.parametrize("name", MODELS)
def test_rows_have_the_same_bits_in_any_batch_and_order(name: str) -> None:
    if not is_fused(name):
        pytest.skip("libraries choose their algorithms by the number of rows")
    rows = on_gpu(random_rows(name, 300, seed=2))
    order = torch.randperm(300, device="cuda")[:37]
    some = chosen_rows(rows, order)
    steps = [bound(name, batch) for batch in (rows, some)]
    for _ in range(3):
        steps[0](300)
        steps[1](37)
    assert torch.equal(rows.high[order], some.high)
    assert torch.equal(rows.low[order], some.low)
    assert torch.equal(rows.facts[order], some.facts)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_takes_few_launches_and_never_waits(name: str) -> None:
    rows = on_gpu(random_rows(name, 16, seed=3))
    step = bound(name, rows)
    step(16)
    torch.cuda.synchronize()
    names = profiled(lambda: step(16))
    if is_fused(name):
        assert 0 < sum("kernel" in each for each in names) <= MAX_KERNELS_PER_STEP
    assert not [each for each in names if "Memcpy HtoD" in each or "Memcpy DtoH" in each]
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(16)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def profiled(call: Callable[[], None]) -> list[str]:
    """Return what ran on the device."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        torch.cuda.synchronize()
    events = profile.events() or ()
    return [event.name for event in events if str(event.device_type).endswith("CUDA")]


def test_the_noise_of_a_graph_replay_moves_on(device: str) -> None:
    rows = on_gpu(random_rows("sudoku-4x4", 8, seed=4))
    step = bound("sudoku-4x4", rows)
    eager: list[Tensor] = []
    kept = copied(rows)
    for _ in range(3):
        step(8)
        eager.append(rows.high.clone())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(8)
    put_back(rows, kept)
    for expected in eager:
        graph.replay()
        assert torch.equal(rows.high, expected)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_every_shipped_model_can_be_captured(name: str) -> None:
    rows = on_gpu(random_rows(name, 4, seed=5))
    expected = copied(rows)
    replay = captured(bound(name, rows), 4, torch.device("cuda"))
    put_back(rows, expected)
    replay()
    bound(name, expected)(4)
    assert torch.equal(rows.facts, expected.facts)
