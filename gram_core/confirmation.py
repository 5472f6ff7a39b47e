"""Applies a family's own ``check`` to answers that the device verifier accepted, for tasks with
rules besides their units (``Task.has_other_rules``).
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.puzzles import Encoded, Task, Tokens

AnswerChecker = Callable[[int, Tokens], bool]
"""(row, (length,) tokens in the row's view) -> whether the answer is a solution."""


def answer_checker(task: Task, givens: Iterable[Tokens]) -> AnswerChecker:
    """Return the checker of rows with these givens, (length,) each, in the row's view."""
    family = puzzles.family(task.family)
    instances = [family.instance_of(task, Encoded(tokens=tokens)) for tokens in givens]
    return lambda row, tokens: family.check(instances[row], tokens)


def confirmed(is_valid: Tensor, answers: Tensor, check: AnswerChecker) -> Tensor:
    """Return (rows,) bool: which rows both the verifier and ``check`` accept.

    Waits for the device: ``check`` runs on the host, for the rows of ``is_valid`` (rows,) only.
    ``answers`` are (rows, length) tokens.
    """
    rows = is_valid.nonzero()[:, 0].tolist()
    tokens = answers[rows].cpu().numpy().astype(np.uint8)
    accepted = [row for row, answer in zip(rows, tokens, strict=True) if check(row, answer)]
    result = torch.zeros_like(is_valid)
    result[accepted] = True
    return result
