"""What became of every job that was accepted, in the words of Prometheus.

Counted by the queue itself, in the step that accepts or ends a job, so that no lost process can
lose a count or repeat one.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from gram_server.job import PRIORITY_CLASSES

ACCEPTED = "accepted"


class JobCount(NamedTuple):
    """What is counted of jobs."""

    what: str
    """``accepted``, or how they ended."""
    model: str
    priority: int


class JobCounts(Collector):
    """Shows the counts that it was given last."""

    def __init__(self) -> None:
        self._counts: Mapping[JobCount, int] = {}

    def follow(self, counts: Mapping[JobCount, int]) -> None:
        """Show these counts from now on."""
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the families."""
        accepted = CounterMetricFamily(
            "gram_jobs_accepted", "Jobs that the queue ever took.", labels=("model", "class")
        )
        ended = CounterMetricFamily(
            "gram_jobs_ended",
            "Those of them that ended, by how: each exactly once.",
            labels=("model", "class", "outcome"),
        )
        for (what, model, priority), value in sorted(self._counts.items()):
            labels = (model, PRIORITY_CLASSES[priority])
            if what == ACCEPTED:
                accepted.add_metric(labels, value)
            else:
                ended.add_metric((*labels, what), value)
        yield accepted
        yield ended
