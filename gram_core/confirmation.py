"""The plain check as judge of what the device verifier let through, for tasks whose units are not
all of their rules (``Task.has_other_rules``).
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from gram_core import puzzles
from gram_core.puzzles import Encoded, Task, Tokens

AnswerChecker = Callable[[int, Tokens], bool]
"""Whether the answer of a row, (length,) tokens as the row sees them, is a solution."""


def answer_checker(task: Task, givens: Iterable[Tokens]) -> AnswerChecker:
    """Return the check of rows that see these givens, (length,) each."""
    family = puzzles.family(task.family)
    instances = [family.instance_of(task, Encoded(tokens=tokens)) for tokens in givens]
    return lambda row, tokens: family.check(instances[row], tokens)


def confirmed(is_valid: Tensor, answers: Tensor, check: AnswerChecker) -> Tensor:
    """Return (rows,) bool: what the verifier let through and the check accepts.

    Waits for the device: the check runs on the host, for the rows in question only.

    Args:
        is_valid: (rows,) bool, the verifier's verdicts.
        answers: (rows, length) tokens.
        check: the plain check.
    """
    rows = is_valid.nonzero()[:, 0].tolist()
    tokens = answers[rows].cpu().numpy().astype(np.uint8)
    accepted = [row for row, answer in zip(rows, tokens, strict=True) if check(row, answer)]
    result = torch.zeros_like(is_valid)
    result[accepted] = True
    return result
