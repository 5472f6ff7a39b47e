"""``gram-lab evaluate --corpus``: the public tasks of ARC-AGI through a running server.

Every test grid is one question; an answer is right if it is the published output, cell by cell.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from gram_core.errors import ConfigError
from gram_lab.console import progress_bar
from gram_lab.data.arc import Question, questions
from gram_lab.data.instances import spread
from gram_lab.intervals import wilson

if TYPE_CHECKING:
    # Only who asks a server needs the client.
    from gram_client import SolveResult

ATTEMPTS = (1, 2)
"""Candidates that count, from the one with most votes."""
UNSERVED = "model_unknown"
"""Code of the server's refusal where no loaded model has a canvas for a task."""


class Asking(TypedDict):
    """Options of every request; None leaves the server's default."""

    width: int
    depth: int | None
    seed: int
    augment: bool


def evaluate_corpus(name: str, server: str, asking: Asking, *, limit: int | None) -> dict[str, Any]:
    """Ask a server every question of a corpus, or so many spread over it.

    Raises:
        ConfigError: the server does not answer, or refuses for another reason than a task's size.
    """
    asked = spread(questions(name), limit)
    return {
        "corpus": name,
        **asking,
        "tasks": len({question.task for question in asked}),
        **scored(asked, _answers(asked, server, asking)),
    }


def scored(asked: Sequence[Question], results: "Sequence[SolveResult | None]") -> dict[str, Any]:
    """Return pass@k with 95 % intervals, over all questions and over those that were taken."""
    pairs = list(zip(asked, results, strict=True))
    taken = [(question, result) for question, result in pairs if result is not None]
    found: dict[str, Any] = {"questions": len(asked), "taken": len(taken)}
    for attempts in ATTEMPTS:
        right = sum(
            any(each.answer == question.answer for each in result.candidates[:attempts])
            for question, result in taken
        )
        rates = {
            group: asdict(wilson(right / count, count))
            for group, count in (("of_all", len(asked)), ("of_taken", len(taken)))
            if count
        }
        found[f"pass@{attempts}"] = {"right": right, **rates}
    shares = [
        result.candidates[0].votes / result.width if result.candidates else 0.0
        for _, result in taken
    ]
    found["mean_share_of_votes"] = float(np.mean(shares)) if shares else None
    found["models"] = sorted({result.model for _, result in taken})
    return found


def corpus_table(result: dict[str, Any]) -> str:
    """Return the figures as a table of text."""
    models, taken = ", ".join(result["models"]) or "no model", result["taken"]
    lines = [
        f"{models} on {result['corpus']}, width {result['width']}: {result['questions']} test grids"
        f" of {result['tasks']} tasks, of which a loaded model takes {taken}",
        f"{'':8}{'right':>6}  {'of all (95 %)':<22}  of those taken",
    ]
    for attempts in ATTEMPTS:
        name = f"pass@{attempts}"
        rates = [result[name].get(group) for group in ("of_all", "of_taken")]
        cells = [
            f"{rate['value']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})" if rate else "-"
            for rate in rates
        ]
        lines.append(f"{name:<8}{result[name]['right']:>6}  {cells[0]:<22}  {cells[1]}")
    return "\n".join(lines)


def _answers(asked: Sequence[Question], server: str, asking: Asking) -> "list[SolveResult | None]":
    """Return what the server answers; None where no model has a canvas for the question."""
    try:
        from gram_client import Client, GramError
    except ImportError as error:
        raise ConfigError("server", server, "is asked by gram-client: install it") from error
    results: list[SolveResult | None] = []
    with Client(server) as client, progress_bar() as show:
        for answer in client.map(
            (question.body for question in asked), on_error="return", **asking
        ):
            show(len(results) / len(asked), f"{len(results)} of {len(asked)}")
            if not isinstance(answer, GramError):
                results.append(answer)
            elif answer.code == UNSERVED:
                results.append(None)
            else:
                raise ConfigError("server", server, str(answer))
    return results
