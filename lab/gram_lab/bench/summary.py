"""A load in a few numbers: latencies from the scheduled moment, goodput under an objective.

A request without a solution counts as infinitely late. Knows no servers.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gram_lab.bench.client import Load, Record

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}

Milliseconds = dict[str, float | None]
"""Quantiles; None where too many requests have no such time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One load at one rate."""

    rate: float
    """Offered, in requests per second."""
    num_requests: int
    ends: dict[str, int]
    throughput: float
    """Solved requests per second, until the last answer."""
    goodput: float
    """Requests per second of the offered load that met the objective."""
    share_within: float
    """Of all requests."""
    meets: bool
    first_solution_ms: Milliseconds
    """Of accepted requests."""
    whole_ms: Milliseconds
    """Of accepted requests, to their end."""
    refusal_ms: Milliseconds
    send_lag_ms: Milliseconds
    """How late the client itself was."""
    client_cpu_share: float
    """Of one core."""


def summarise(
    load: Load, *, rate: float, duration_s: float, slo_s: float, slo_share: float
) -> Summary:
    """Sum a load up; ``slo_share`` of all requests, also refused ones, must be solved in time."""
    records = load.records
    accepted = [record for record in records if record.end != "refused"]
    refused = [record for record in records if record.end == "refused"]
    num_within = sum(_waited_s(record) <= slo_s for record in records)
    share = num_within / len(records) if records else 0.0
    ends = Counter(record.end for record in records)
    return Summary(
        rate=rate,
        num_requests=len(records),
        ends=dict(sorted(ends.items())),
        throughput=ends["solved"] / load.wall_s,
        goodput=num_within / duration_s,
        share_within=share,
        meets=share >= slo_share,
        first_solution_ms=quantiles(_waited_s(record) for record in accepted),
        whole_ms=quantiles(
            record.end_s - record.scheduled_s if record.status == 200 else math.inf
            for record in accepted
        ),
        refusal_ms=quantiles(record.end_s - record.sent_s for record in refused),
        send_lag_ms=quantiles(record.sent_s - record.scheduled_s for record in records),
        client_cpu_share=load.client_cpu_s / load.wall_s,
    )


def quantiles(durations_s: Iterable[float]) -> Milliseconds:
    """Return the quantiles and the maximum, by the nearest rank, in milliseconds."""
    ordered = sorted(durations_s)
    if not ordered:
        return dict.fromkeys([*QUANTILES, "max"], None)
    ranks = {name: math.ceil(share * len(ordered)) - 1 for name, share in QUANTILES.items()}
    found = {name: ordered[max(rank, 0)] for name, rank in ranks.items()} | {"max": ordered[-1]}
    return {
        name: None if math.isinf(value_s) else round(value_s * 1e3, 3)
        for name, value_s in found.items()
    }


def _waited_s(record: Record) -> float:
    return math.inf if record.first_s is None else record.first_s - record.scheduled_s
