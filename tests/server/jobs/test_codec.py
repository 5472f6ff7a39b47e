import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_server.job import (
    HALTS,
    Event,
    EventKind,
    Job,
    ModelReport,
    Sampling,
    SolveOptions,
    WorkerReport,
    WorkerState,
    dump,
    from_bytes,
    load_event,
    load_job,
    load_report,
    to_bytes,
)

maybe_count = st.none() | st.integers(1, 1024)
options = st.builds(
    SolveOptions,
    model=st.text(),
    seed=st.integers(0, 2**63 - 1),
    width=st.integers(1, 1024),
    depth=maybe_count,
    max_solutions=maybe_count,
    deadline_ms=maybe_count,
    augment=st.booleans(),
    halt=st.sampled_from(HALTS),
    fallback=st.sampled_from(["none", "exact"]),
    count=st.sampled_from(["none", "exact"]),
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers()))
jobs = st.builds(
    Job,
    id=st.text(),
    puzzle=st.text(),
    task=st.text(),
    model=st.text(),
    body=values,
    options=options,
    submitted_s=numbers,
    deadline_s=st.none() | numbers,
    priority=st.integers(0, 2),
    attempt=st.integers(0, 9),
    sampling=st.none()
    | st.builds(
        Sampling,
        is_distinct=st.booleans(),
        is_thinned=st.booleans(),
        num_clues=maybe_count,
    ),
)


@given(jobs)
def test_a_job_survives_the_way_through_json(job: Job) -> None:
    assert load_job(from_bytes(to_bytes(dump(job)))) == job


@given(st.builds(Event, kind=st.sampled_from(EventKind), data=values, id=st.integers(0)))
def test_an_event_survives_the_way_through_json(event: Event) -> None:
    assert load_event(from_bytes(to_bytes(dump(event)))) == event


def test_a_report_survives_the_way_through_json() -> None:
    model = ModelReport(
        name="m", task="t", fingerprint="f", depth=16, num_parameters=5, purpose="generate"
    )
    report = WorkerReport(
        worker="w",
        state=WorkerState.READY,
        models=(model,),
        phases={"load": 0.5},
        metrics_text='x{a="é"} 1\n',
    )
    assert load_report(from_bytes(to_bytes(dump(report)))) == report


def test_fields_of_a_newer_writer_are_left_out() -> None:
    event = Event(kind=EventKind.SOLUTION, data={"a": 1}, id=3)
    assert load_event({**dump(event), "colour": "blue"}) == event


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_json_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_bytes({"value": value})


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b"\xff"])
def test_what_is_not_an_object_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_bytes(text)
