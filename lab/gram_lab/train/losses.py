"""What training minimises in one supervision step.

Cross-entropy over the cells that were not given, plus beta times the balanced KL of **every**
transition, both summed over the puzzle, plus the mean of an auxiliary head where there is one.
Charging only the ``last`` KL, as the paper does, lets the posterior write the answer into h unseen;
heads of the earlier transitions are re-run on a detached u for that.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gram_core.guidance import Gaussian, kl_divergence
from gram_core.model import Gram, LatentState
from gram_core.puzzles import BLANK, PAD
from gram_lab.train.recipe import Recipe

KL_BALANCE = 0.8
"""Weight of the part that moves the prior towards the posterior."""


class Rows(NamedTuple):
    """A batch of running trajectories as tensors."""

    givens: Tensor
    """(batch, length) int64."""
    targets: Tensor
    """(batch, max_targets, length) int64; the first is the drawn one. PAD in unused places; a row
    without any target learns nothing."""
    is_prior: Tensor
    """(batch,) bool: guided by the prior, as at inference; else by the posterior."""
    adjacency: Tensor | None = None
    auxiliary: Tensor | None = None
    """(batch, 3, length) int64, as in ``Examples``."""
    steps: Tensor | None = None
    """(batch,) supervision steps done before this one; where there is ``auxiliary``."""


class StepLoss(NamedTuple):
    """The objective and its logged figures."""

    loss: Tensor
    state: LatentState
    logits: Tensor
    summary: Tensor
    """(batch, dim) detached input of the halt and value heads."""
    cross_entropy: Tensor
    """Mean over unknown cells of the drawn or nearest target."""
    divergence: Tensor
    """Mean KL per posterior row and supervision step, in nats."""


def num_charged(rows: Rows) -> Tensor:
    """Return (3,): how many unknown cells with a target, posterior rows and asked cells there are.

    Cells are asked by the auxiliary head.
    """
    asked = rows.givens.new_zeros(()) if rows.auxiliary is None else _is_asked(rows).sum()
    return torch.stack((_is_unknown(rows).sum(), (~rows.is_prior).sum(), asked)).float()


def step_loss(
    model: Gram,
    state: LatentState,
    rows: Rows,
    draws: Tensor,
    recipe: Recipe,
    totals: Tensor | None = None,
) -> StepLoss:
    """Run one supervision step and return its objective.

    ``model`` is in training mode. The parts of the detached ``state`` are (batch, tokens, dim);
    ``draws`` are standard normals, (transitions, batch, tokens, dim). Of rows that are a part of an
    update ``totals`` are ``num_charged`` of the whole of it, so that the losses of parts add up.
    """
    totals = (num_charged(rows) if totals is None else totals).clamp(min=1)
    num_unknown, num_posterior, num_asked = totals
    embedding = model.encode(rows.givens)
    divergence = torch.zeros(len(rows.givens), device=embedding.device)
    last = model.config.num_transitions - 1
    for transition, draw in enumerate(draws):
        with torch.set_grad_enabled(torch.is_grad_enabled() and transition == last):
            u, low = model.transition(state, embedding, rows.adjacency)
        high, charged = _guide(model, u, rows, draw)
        if recipe.charges == "all" or transition == last:
            divergence = divergence + charged
        state = LatentState(high if transition == last else high.detach(), low)
    output = model.readout(state)
    summary = state.high[:, 0] if model.config.readout == "first" else state.high.mean(dim=1)
    per_row = _reconstruction(output.logits.float(), rows, recipe)
    is_posterior = (~rows.is_prior).float()
    total = per_row + recipe.beta * divergence * is_posterior
    if recipe.learns == "best":
        # Of competing siblings the lowest counts, scaled to the batch.
        total = total.view(-1, recipe.num_siblings).min(dim=1).values * recipe.num_siblings
    loss = total.sum() / num_unknown
    if rows.auxiliary is not None:
        charge = _auxiliary(model, state.high, rows) / num_asked
        loss = loss + recipe.auxiliary_weight * charge
    return StepLoss(
        loss=loss,
        state=state.detach(),
        logits=output.logits.detach(),
        summary=summary.detach(),
        cross_entropy=per_row.detach().sum() / num_unknown,
        divergence=(divergence.detach() * is_posterior).sum() / num_posterior,
    )


def _guide(model: Gram, u: Tensor, rows: Rows, draw: Tensor) -> tuple[Tensor, Tensor]:
    """Return (h, KL per row): posterior rows see their drawn target."""
    if not model.config.has_guidance_heads:
        return u, u.new_zeros(len(u))
    prior: Gaussian = model.prior(u)
    if model.config.guidance == "mean":
        return u + prior.mean, u.new_zeros(len(u))
    posterior: Gaussian = model.posterior(u + model.encode(rows.targets[:, 0]))
    sampled = prior.select(rows.is_prior, posterior)
    charged = KL_BALANCE * kl_divergence(posterior.detach(), prior) + (
        1.0 - KL_BALANCE
    ) * kl_divergence(posterior, prior.detach())
    return u + sampled.mean + sampled.deviation * draw, charged


def _is_unknown(rows: Rows) -> Tensor:
    """Return (batch, length): cells that were not given, in rows with a target."""
    return (rows.givens == BLANK) & (rows.targets[:, 0, :1] != PAD)


def _reconstruction(logits: Tensor, rows: Rows, recipe: Recipe) -> Tensor:
    """Return the cross-entropy of each row, summed over its unknown cells that are due."""
    log_probabilities = functional.log_softmax(logits, dim=-1)
    targets = rows.targets[:, :1] if recipe.aim == "drawn" else rows.targets
    absent = targets[:, :, 0] == PAD  # (batch, targets)
    is_charged = _is_unknown(rows)
    if rows.auxiliary is not None:
        # What no step can have told would be learned as a guess.
        is_charged = is_charged & _is_due(rows, rows.auxiliary[:, 2])
    unknown_log = log_probabilities * is_charged.float()[..., None]
    # A product with one-hot targets: the backward of a gather is a scatter, slow on CPU.
    one_hot = functional.one_hot(targets, logits.shape[-1]).to(logits.dtype).flatten(2)
    chosen = torch.bmm(one_hot, unknown_log.flatten(1)[..., None])[..., 0]  # (batch, targets)
    smooth = unknown_log.mean(dim=-1).sum(dim=1, keepdim=True)
    per_target = -(1.0 - recipe.label_smoothing) * chosen - recipe.label_smoothing * smooth
    per_row = per_target[:, 0]
    if targets.shape[1] > 1:
        aimed = per_target.masked_fill(absent, float("inf"))
        if recipe.aim == "matched":
            aimed = _matched(aimed, recipe.num_siblings)
        else:
            aimed = aimed.min(dim=1).values
        per_row = torch.where(rows.is_prior, aimed, per_row)
    return per_row


def _is_due(rows: Rows, due: Tensor) -> Tensor:
    """Return (batch, length): whether the steps so far can have told what is due, by cell."""
    assert rows.steps is not None
    return due <= rows.steps[:, None]


def _is_asked(rows: Rows) -> Tensor:
    """Return (batch, length): cells that can know what the auxiliary head asks.

    A cell is asked for what the steps so far can have told it, so that every step is taught to
    carry its part of the way; the answer alone teaches that only where it is already near.
    """
    assert rows.auxiliary is not None
    return (rows.auxiliary[:, 0] > 0) & _is_due(rows, rows.auxiliary[:, 1])


def _auxiliary(model: Gram, high: Tensor, rows: Rows) -> Tensor:
    """Return the cross-entropy of the auxiliary head, summed over the cells asked."""
    assert rows.auxiliary is not None
    head = model.get_submodule("auxiliary")
    logits = head(high[:, model.config.num_prefix_tokens :]).float()
    log_probabilities = functional.log_softmax(logits, dim=-1)
    one_hot = functional.one_hot(rows.auxiliary[:, 0], logits.shape[-1]).to(logits.dtype)
    return -((log_probabilities * one_hot).sum(dim=-1) * _is_asked(rows)).sum()


def _matched(per_target: Tensor, num_siblings: int) -> Tensor:
    """Return each row's loss for its own solution, shape (batch,).

    Greedy: the pair of a row and a solution with the lowest loss comes first, and a solution is
    given to a second sibling only once every solution has been given away.

    ``per_target`` is (batch, targets), infinite where there is no target; siblings are neighbours.
    """
    groups = per_target.view(-1, num_siblings, per_target.shape[1])
    finite = groups.detach().masked_fill(groups.isinf(), 0.0)
    penalty = 2.0 * finite.abs().amax(dim=(1, 2), keepdim=True) + 1.0
    open_cost = groups.detach().clone()
    chosen = torch.zeros_like(groups)
    for _ in range(num_siblings):
        flat = open_cost.flatten(1).argmin(dim=1)
        pair = functional.one_hot(flat, open_cost[0].numel()).view_as(groups).to(groups.dtype)
        chosen = chosen + pair
        row, target = pair.amax(dim=2, keepdim=True), pair.amax(dim=1, keepdim=True)
        open_cost = (open_cost + penalty * target).masked_fill(row > 0, float("inf"))
    return (groups.masked_fill(chosen == 0, 0.0)).sum(dim=2).flatten()


def heads_loss(model: Gram, summaries: Tensor, is_exact: Tensor, accuracy: Tensor) -> Tensor:
    """Return the loss of the halt and value heads on finished prior trajectories.

    For each step ``summaries`` are (steps, dim) detached readouts, ``is_exact`` says whether its
    answer was a solution, ``accuracy`` which share of the trajectory's final answer was right.
    """
    halt = functional.binary_cross_entropy_with_logits(
        model.halt(summaries)[:, 0], is_exact.float()
    )
    value = torch.sigmoid(model.value(summaries)[:, 0])
    return halt + (value - accuracy).square().mean()
