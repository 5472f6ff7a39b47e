"""The model against its equations and its promises."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gram_core import puzzles
from gram_core.checkpoint import count_parameters
from gram_core.config import GramConfig, preset
from gram_core.errors import ConfigError
from gram_core.guidance import Gaussian, kl_divergence
from gram_core.model import Gram, LatentState, StepOutput, answer
from gram_core.puzzles import Task
from gram_kernels import philox
from gram_kernels.philox import NoiseKey


def tiny(task_name: str = "sudoku-4x4", **changes: object) -> tuple[Task, Gram]:
    torch.manual_seed(0)
    task = puzzles.task(task_name)
    config = replace(preset("tiny", task), **changes)  # type: ignore[arg-type]  # by field name
    model = Gram(config, task.units)
    shake(model)
    return task, model.eval()


def shake(model: nn.Module) -> None:
    """Give zero-initialised weights values, so that nothing is tested on zeros."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)


def names(batch: int, step: int = 0) -> NoiseKey:
    rows = torch.arange(batch)
    return NoiseKey(rows * 0 + 11, rows, rows * 0 + step)


def run(model: Gram, tokens: Tensor, *, steps: int = 2) -> StepOutput:
    key = names(len(tokens))
    embedding = model.encode(tokens)
    state = model.initial_state(key.seed, key.trajectory)
    for step in range(steps):
        output = model.supervision_step(state, embedding, names(len(tokens), step))
        state = output.state
    return output


@pytest.mark.slow
def test_the_paper_preset_has_exactly_the_published_number_of_parameters() -> None:
    task = puzzles.task("sudoku-9x9")
    model = Gram(preset("paper", task))
    core = sum(p.numel() for part in (model.low, model.high) for p in part.parameters())
    guidance = sum(p.numel() for part in (model.prior, model.posterior) for p in part.parameters())
    dim = 512
    # Two stacks of two blocks: attention 4 D^2 and SwiGLU 3 D F; four guidance heads 3 D F.
    assert core == 4 * (4 * dim**2 + 3 * dim**2) == 7_340_032
    assert guidance == 4 * 3 * dim**2 == 3_145_728
    # Beside them only the embedding, the decoder (11 D each) and the two small heads.
    assert count_parameters(model) == core + guidance + 2 * 11 * dim + 2 * (dim + 1) + dim + 1
    assert round(count_parameters(model) / 1e6, 1) == 10.5


@pytest.mark.parametrize("name", ["sudoku-9x9", "sudoku-4x4", "nqueens-8", "graph-coloring-8"])
def test_small_presets_stay_under_two_million_parameters(name: str) -> None:
    task = puzzles.task(name)
    assert count_parameters(Gram(preset("small", task), task.units)) < 2_000_000


def test_a_supervision_step_follows_the_equations() -> None:
    _, model = tiny(num_transitions=2, num_inner_steps=2)
    tokens = torch.randint(1, 6, (3, 16))
    key = names(3, step=4)
    embedding = model.encode(tokens)
    start = LatentState(torch.randn(3, 16, 32), torch.randn(3, 16, 32))
    output = model.supervision_step(start, embedding, key)
    high, low = start
    for transition in range(2):
        for _ in range(2):
            low = model.low(low + high + embedding)
        u = model.high(high + low)
        mean = model.prior.mean(u)
        share = torch.sigmoid(model.prior.deviation(u) + model.prior.sigma_offset)
        sigma = 1e-3 + (1.0 - 1e-3) * share
        draw = philox.normals(*key, transition=transition, stream=0, count=16 * 32)
        high = u + mean + sigma * draw.view(3, 16, 32)
    torch.testing.assert_close(output.state.high, high)
    torch.testing.assert_close(output.state.low, low)
    torch.testing.assert_close(output.logits, high @ model.decoder.weight.T)


@pytest.mark.parametrize("mixer", ["relational", "attention", "token"])
def test_rows_never_see_each_other(mixer: str) -> None:
    kinds = () if mixer != "relational" else ("row", "column", "box", "any")
    _, model = tiny(mixer=mixer, head_kinds=kinds)
    tokens = torch.randint(1, 6, (4, 16))
    whole = run(model, tokens)
    changed = tokens.clone()
    changed[1:] = torch.randint(1, 6, (3, 16))
    other = run(model, changed)
    assert torch.equal(whole.logits[0], other.logits[0])
    assert not torch.equal(whole.logits[1], other.logits[1])


def test_trajectories_of_a_guided_model_differ_and_repeat() -> None:
    _, model = tiny()
    tokens = torch.randint(1, 6, (1, 16)).expand(3, 16)
    first, second = run(model, tokens), run(model, tokens)
    assert torch.equal(first.state.high, second.state.high)
    assert not torch.equal(first.state.high[0], first.state.high[1])


@pytest.mark.slow
@pytest.mark.parametrize("guidance", ["none", "mean"])
def test_deterministic_relatives_give_every_trajectory_the_same_state(guidance: str) -> None:
    _, model = tiny(guidance=guidance)
    output = run(model, torch.randint(1, 6, (1, 16)).expand(3, 16))
    assert torch.equal(output.state.high[0], output.state.high[2])


def test_pure_noise_guidance_has_zero_mean() -> None:
    _, model = tiny(guidance="noise")
    guidance = model.prior(torch.randn(2, 16, 32))
    assert not guidance.mean.any()
    assert (guidance.deviation > 0).all()


def test_a_random_initial_state_makes_trajectories_differ_without_guidance() -> None:
    _, model = tiny(guidance="none", initial_state="random")
    output = run(model, torch.randint(1, 6, (1, 16)).expand(3, 16))
    assert not torch.equal(output.state.high[0], output.state.high[1])


def test_flat_recursion_is_one_stack_applied_k_plus_one_times() -> None:
    _, model = tiny(recursion="flat", guidance="none", num_inner_steps=3)
    tokens = torch.randint(1, 6, (2, 16))
    embedding = model.encode(tokens)
    high = torch.randn(2, 16, 32)
    expected = high
    for _ in range(4):
        expected = model.low(expected + embedding)
    found = model.transition(LatentState(high, high), embedding)
    torch.testing.assert_close(found.high, expected)
    assert not hasattr(model, "high")


def test_prefix_tokens_stand_before_the_cells_and_are_not_decoded() -> None:
    _, model = tiny(
        mixer="attention", head_kinds=(), num_prefix_tokens=3, readout="first", guidance="none"
    )
    output = run(model, torch.randint(1, 6, (2, 16)))
    assert output.state.high.shape == (2, 19, 32)
    assert output.logits.shape == (2, 16, 6)
    expected = model.halt(output.state.high[:, 0])[:, 0]
    torch.testing.assert_close(output.halt, expected)


def test_the_empty_board_runs_like_any_input() -> None:
    _, model = tiny()
    output = run(model, torch.ones(2, 16, dtype=torch.int64))
    assert torch.isfinite(output.logits).all()


def test_the_answer_holds_legal_tokens_and_keeps_what_is_given() -> None:
    logits = torch.randn(50, 16, 6) + torch.tensor([9.0, 9.0, 0, 0, 0, 0])
    nothing = torch.ones(50, 16, dtype=torch.int64)
    assert answer(logits, nothing, allows_blank=True).min() == 1
    likely = logits[..., 2:].argmax(dim=-1) + 2
    assert torch.equal(answer(logits, nothing, allows_blank=False), likely)
    givens = torch.randint(1, 6, (50, 16))
    kept = answer(logits, givens, allows_blank=False)
    assert torch.equal(kept, torch.where(givens > 1, givens, likely))


def test_kl_equals_that_of_independent_normals() -> None:
    torch.manual_seed(0)
    q = Gaussian(torch.randn(3, 4, 5), torch.rand(3, 4, 5) + 0.1)
    p = Gaussian(torch.randn(3, 4, 5), torch.rand(3, 4, 5) + 0.1)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean.double(), q.deviation.double()),
        torch.distributions.Normal(p.mean.double(), p.deviation.double()),
    ).sum(dim=(1, 2))
    torch.testing.assert_close(kl_divergence(q, p).double(), expected, rtol=1e-4, atol=1e-4)


def test_a_config_survives_json_and_refuses_unknown_fields() -> None:
    config = preset("small", puzzles.task("nqueens-8"))
    assert GramConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="colour"):
        GramConfig.from_json({**config.to_json(), "colour": 3})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dim", 0),
        ("num_heads", 3),
        ("mixer", "magic"),
        ("head_kinds", ("row",)),
        ("rows", 5),
        ("token_ffn_dim", 8),
        ("mixer_norm", "tokens"),
    ],
)
def test_an_impossible_config_is_refused_with_its_field(field: str, value: object) -> None:
    config = preset("tiny", puzzles.task("sudoku-4x4"))
    with pytest.raises(ConfigError, match=field):
        GramConfig.from_json({**config.to_json(), field: value})


def test_positions_of_units_need_heads_of_units() -> None:
    with pytest.raises(ConfigError, match="positions"):
        replace(preset("tiny", puzzles.task("maze-10x10")), positions="units")
