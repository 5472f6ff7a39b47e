"""The last look at an answer before it is shown: does it keep the givens of its own job?

No trajectory can lose them unless rows were mixed up. Then the answer may be about another caller's
puzzle, so it is hidden, counted, and logged once.
"""

import logging

import numpy as np

from gram_core.puzzles import BLANK, Tokens
from gram_server.engine.trajectory import EngineJob
from gram_server.metrics.engine import ModelMetrics

logger = logging.getLogger(__name__)


class GivensGuard:
    """Tells answers that may be shown from those that belong to somebody else."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self._metrics = metrics

    def may_show(self, job: EngineJob, answer: Tokens) -> bool:
        """Say whether an answer, (length,) as the user sees it, keeps the givens; count if not."""
        if not np.any((job.tokens != BLANK) & (answer != job.tokens)):
            return True
        if self._metrics.count_foreign_answer():
            logger.error(
                "job %s: an answer does not keep the job's givens, so rows were mixed up; it is "
                "shown to nobody, and more of them are counted in gram_foreign_answers_total only",
                job.id,
            )
        return False
