"""The objective against written-out float64 sums."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.config import preset
from gram_core.guidance import Gaussian, kl_divergence
from gram_core.model import Gram, LatentState
from gram_core.puzzles import BLANK, PAD
from gram_lab.train.losses import Rows, StepLoss, heads_loss, num_charged, step_loss
from gram_lab.train.recipe import Charges, Recipe

PLAIN = Recipe(beta=0.0, aim="nearest")


def setting(
    *, batch: int = 4, transitions: int = 1, guidance: str = "learned"
) -> tuple[Gram, LatentState, Rows, Tensor]:
    torch.manual_seed(3)
    task = puzzles.task("sudoku-4x4")
    config = replace(preset("tiny", task), num_transitions=transitions, guidance=guidance)  # type: ignore[arg-type]
    model = Gram(config, task.units)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    targets = torch.randint(2, 6, (batch, 3, 16))
    targets[:, 2] = PAD
    givens = torch.where(torch.rand(batch, 16) < 0.4, targets[:, 0], BLANK)
    rows = Rows(
        givens=givens,
        targets=targets,
        is_prior=torch.arange(batch) % 2 == 0,
        adjacency=None,
    )
    state = LatentState(torch.randn(batch, 16, 32), torch.randn(batch, 16, 32))
    return model, state, rows, torch.randn(transitions, batch, 16, 32)


def cell_losses(logits: Tensor, rows: Rows) -> Tensor:
    """(batch, targets) summed over unknown cells."""
    log_probabilities = torch.log_softmax(logits.double(), dim=-1)
    losses = torch.zeros(rows.targets.shape[:2], dtype=torch.float64)
    for row, targets in enumerate(rows.targets):
        for index, target in enumerate(targets):
            for cell, token in enumerate(target):
                if rows.givens[row, cell] == BLANK:
                    losses[row, index] -= log_probabilities[row, cell, token]
    return losses


def assert_charged(result: StepLoss, total: Tensor, num_unknown: Tensor) -> None:
    torch.testing.assert_close(result.loss.double(), total / num_unknown, rtol=1e-4, atol=0)


def test_prior_rows_aim_at_the_nearest_solution_and_posterior_rows_at_the_drawn_one() -> None:
    model, state, rows, draws = setting()
    result = step_loss(model, state, rows, draws, PLAIN)
    losses = cell_losses(result.logits, rows)[:, :2]
    expected = torch.where(rows.is_prior, losses.min(dim=1).values, losses[:, 0])
    assert_charged(result, expected.sum(), (rows.givens == BLANK).sum())


def test_without_nearest_every_row_aims_at_the_drawn_solution() -> None:
    model, state, rows, draws = setting()
    result = step_loss(model, state, rows, draws, replace(PLAIN, aim="drawn"))
    losses = cell_losses(result.logits, rows)[:, 0]
    assert_charged(result, losses.sum(), (rows.givens == BLANK).sum())


def test_cells_are_charged_only_for_what_the_steps_can_have_told() -> None:
    model, state, rows, draws = setting()
    model.auxiliary = torch.nn.Linear(model.config.dim, 3)
    classes, due, answer_due = torch.randint(0, 3, (4, 16)), *torch.randint(0, 5, (2, 4, 16))
    steps = torch.tensor([0, 1, 2, 7])
    rows = rows._replace(auxiliary=torch.stack((classes, due, answer_due), dim=1), steps=steps)
    recipe = replace(PLAIN, aim="drawn", auxiliary_weight=0.5)
    result = step_loss(model, state, rows, draws, recipe)
    known = rows._replace(givens=rows.givens.masked_fill(answer_due > steps[:, None], PAD))
    answers = cell_losses(result.logits, known)[:, 0].sum() / (rows.givens == BLANK).sum()
    told = torch.log_softmax(model.auxiliary(result.state.high).double(), dim=-1)
    charged = [
        -told[row, cell, classes[row, cell]].item()
        for row in range(4)
        for cell in range(16)
        if classes[row, cell] > 0 and due[row, cell] <= steps[row]
    ]
    expected = 0.5 * sum(charged) / len(charged)
    assert (result.loss - answers).item() == pytest.approx(expected, rel=1e-4)
    # As parts of one update the same rows are charged the same.
    totals = num_charged(rows)
    parts = [slice(0, 3), slice(3, 4)]
    shares = [
        step_loss(
            model,
            LatentState(*(each[part] for each in state)),
            Rows(*(None if each is None else each[part] for each in rows)),  # type: ignore[arg-type]
            draws[:, part],
            recipe,
            totals,
        ).loss
        for part in parts
    ]
    torch.testing.assert_close(sum(shares), result.loss)
    (gradient,) = torch.autograd.grad(result.loss, [model.auxiliary.weight])
    assert gradient.abs().sum() > 0


def test_only_the_best_of_competing_rows_learns() -> None:
    model, state, rows, draws = setting()
    recipe = replace(PLAIN, aim="drawn", num_siblings=2, learns="best")
    result = step_loss(model, state, rows, draws, recipe)
    losses = cell_losses(result.logits, rows)[:, 0].view(2, 2)
    assert_charged(result, 2 * losses.min(dim=1).values.sum(), (rows.givens == BLANK).sum())


def test_label_smoothing_mixes_in_the_uniform_distribution() -> None:
    model, state, rows, draws = setting()
    recipe = replace(PLAIN, aim="drawn", label_smoothing=0.2)
    result = step_loss(model, state, rows, draws, recipe)
    log_probabilities = torch.log_softmax(result.logits.double(), dim=-1)
    is_unknown = rows.givens == BLANK
    uniform = -(log_probabilities.mean(dim=-1) * is_unknown).sum(dim=1)
    drawn = cell_losses(result.logits, rows)[:, 0]
    assert_charged(result, (0.8 * drawn + 0.2 * uniform).sum(), is_unknown.sum())


@pytest.mark.parametrize("charges", ["all", "last"])
@pytest.mark.parametrize("transitions", [1, 3])
def test_the_kl_is_charged_to_posterior_rows(transitions: int, charges: Charges) -> None:
    model, state, rows, draws = setting(transitions=transitions)
    free = step_loss(model, state, rows, draws, PLAIN)
    weights = replace(PLAIN, beta=0.3, charges=charges)
    charged = step_loss(model, state, rows, draws, weights)
    high, low = state
    total = torch.zeros(4)
    embedding, target = model.encode(rows.givens), model.encode(rows.targets[:, 0])
    for draw in draws:
        u, low = model.transition(LatentState(high, low), embedding)
        prior, posterior = model.prior(u), model.posterior(u + target)
        divergence = kl_divergence(posterior, prior)
        total = divergence if charges == "last" else total + divergence
        chosen: Gaussian = prior.select(rows.is_prior, posterior)
        high = u + chosen.mean + chosen.deviation * draw
    expected = 0.3 * total[~rows.is_prior].sum() / (rows.givens == BLANK).sum()
    torch.testing.assert_close(charged.loss - free.loss, expected, rtol=1e-3, atol=1e-4)


def test_earlier_transitions_train_the_heads_on_a_detached_state() -> None:
    model, state, rows, draws = setting(transitions=2)
    parameters = [*model.prior.parameters(), *model.low.parameters()]
    loss = step_loss(model, state, rows, draws, replace(PLAIN, beta=1.0)).loss
    found = torch.autograd.grad(loss, parameters)
    free = torch.autograd.grad(step_loss(model, state, rows, draws, PLAIN).loss, parameters)
    embedding, target = model.encode(rows.givens), model.encode(rows.targets[:, 0])
    high, low = state
    total = torch.zeros(4)
    for transition, draw in enumerate(draws):
        u, low = model.transition(LatentState(high, low), embedding)
        if transition == 0:
            u, low = u.detach(), low.detach()
        prior, posterior = model.prior(u), model.posterior(u + target)
        total = total + 0.8 * kl_divergence(posterior.detach(), prior)
        total = total + 0.2 * kl_divergence(posterior, prior.detach())
        chosen = prior.select(rows.is_prior, posterior)
        high = u + chosen.mean + chosen.deviation * draw
        high = high.detach() if transition == 0 else high
    charged = total[~rows.is_prior].sum() / (rows.givens == BLANK).sum()
    expected = torch.autograd.grad(charged, parameters)
    for with_kl, without, alone in zip(found, free, expected, strict=True):
        torch.testing.assert_close(with_kl - without, alone, rtol=2e-2, atol=2e-4)


def test_a_deterministic_model_has_no_kl_and_trains_its_stacks() -> None:
    model, state, rows, draws = setting(guidance="none")
    result = step_loss(model, state, rows, draws, replace(PLAIN, beta=1.0))
    assert float(result.divergence) == 0.0
    (gradient,) = torch.autograd.grad(result.loss, next(model.low.parameters()))
    assert gradient.abs().sum() > 0


def test_halt_and_value_heads_learn_what_they_are_told() -> None:
    model, *_ = setting()
    torch.manual_seed(0)
    summaries = torch.randn(64, 32)
    is_exact = summaries[:, 0] > 0
    optimizer = torch.optim.Adam([*model.halt.parameters(), *model.value.parameters()], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = heads_loss(model, summaries, is_exact, is_exact.float())
        loss.backward()
        optimizer.step()
    halts = model.halt(summaries)[:, 0] > 0
    assert (halts == is_exact).float().mean() > 0.95
    value = torch.sigmoid(model.value(summaries)[:, 0])
    assert (value - is_exact.float()).abs().mean() < 0.15


def test_matched_siblings_are_charged_for_different_solutions() -> None:
    model, state, rows, draws = setting()
    rows = rows._replace(
        is_prior=torch.ones(4, dtype=torch.bool),
        givens=rows.givens[[0, 0, 2, 2]],
        targets=rows.targets[[0, 0, 2, 2]],
    )
    weights = replace(PLAIN, aim="matched", num_siblings=2)
    result = step_loss(model, state, rows, draws, weights)
    losses = cell_losses(result.logits, rows)[:, :2]
    expected = 0.0
    for first, second in (losses[:2], losses[2:]):
        # Two rows, two solutions: the lowest loss is taken, the rest follows from it.
        takes_own = min(first[0], second[1]) < min(first[1], second[0])
        expected += float(first[0] + second[1] if takes_own else first[1] + second[0])
    assert_charged(result, torch.tensor(expected).double(), (rows.givens == BLANK).sum())


def test_a_solution_is_shared_only_when_there_are_fewer_than_siblings() -> None:
    model, state, rows, draws = setting()
    targets = rows.targets[[0, 0, 0, 0]]
    rows = rows._replace(
        is_prior=torch.ones(4, dtype=torch.bool), givens=rows.givens[[0] * 4], targets=targets
    )
    weights = replace(PLAIN, aim="matched", num_siblings=4)
    result = step_loss(model, state, rows, draws, weights)
    losses = cell_losses(result.logits, rows)[:, :2]
    # Each of the two solutions goes to exactly two of the four siblings.
    halves = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    totals = [
        sum(float(losses[row, 0 if row in half else 1]) for row in range(4)) for half in halves
    ]
    found = float(result.loss.detach()) * float((rows.givens == BLANK).sum())
    assert min(abs(total - found) for total in totals) < 1e-3 * found


def test_a_row_without_a_target_learns_nothing() -> None:
    model, state, rows, draws = setting()
    targets = rows.targets.clone()
    targets[1] = PAD
    weights = replace(PLAIN, aim="drawn")
    result = step_loss(model, state, rows._replace(targets=targets), draws, weights)
    kept = [0, 2, 3]
    losses = cell_losses(result.logits, rows)[kept, 0].sum()
    assert_charged(result, losses, (rows.givens[kept] == BLANK).sum())
