"""What comes out of the archive is what went in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gram_server.job import Event, EventKind, Job, JobError, JobState
from gram_server.jobs.archive import Archive
from gram_server.jobs.entry import Entry, accepted_event, final_event
from gram_server.settings import QueueConfig

MakeJob = Callable[..., Job]

ENDS: tuple[dict[str, Any], ...] = (
    {"state": JobState.DONE, "result": {"status": "solved", "solutions": [{"answer": "12"}]}},
    {"state": JobState.EXPIRED, "result": {"status": "partial", "solutions": []}},
    {"state": JobState.EXPIRED},
    {"state": JobState.FAILED, "error": JobError(code="bad_row", detail="so")},
    {"state": JobState.CANCELLED},
)


def ended(job: Job, end: dict[str, Any]) -> Entry:
    entry = Entry(job, started_s=3.5, finished_s=7.0, **end)
    entry.append(accepted_event(job))
    for number in range(3):
        look = {"trajectories": [{"trajectory": number}]}
        entry.append(Event(kind=EventKind.PROGRESS, data=look))
    entry.append(Event(kind=EventKind.SOLUTION, data={"answer": "12", "trajectory": 3}))
    entry.append(final_event(entry))
    return entry


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("owner", [None, "me"])
def test_an_entry_comes_back_as_it_was(
    make_job: MakeJob, end: dict[str, Any], owner: str | None
) -> None:
    archive = Archive(QueueConfig())
    entry = ended(replace(make_job(deadline_s=2_000.0), owner=owner), end)
    archive.put(entry, 7.0)
    assert archive.has("a")
    found = archive.find("a")
    assert found == entry
    assert found is not entry
    assert [event.id for event in entry.events] == [1, 4, 5, 6]


def test_a_batch_comes_back_with_its_parts(make_job: MakeJob) -> None:
    archive = Archive(QueueConfig())
    batch = ended(replace(make_job("batch"), owner="me", num_parts=2), ENDS[0])
    batch.parts = tuple(
        ended(replace(make_job(name), owner="me", batch="batch"), ENDS[number])
        for number, name in enumerate("bc")
    )
    for entry in (*batch.parts, batch):
        archive.put(entry, 7.0)
    assert archive.find("batch") == batch
    bare = archive.find("batch", has_parts=False)
    assert bare is not None
    assert (bare.record.state, bare.parts) == (JobState.DONE, ())
    assert [place.partition("-")[2] for place in archive.places_of("me")] == ["batch"]


def test_what_is_needed_or_young_is_not_forgotten(make_job: MakeJob) -> None:
    archive = Archive(QueueConfig(keep_finished_s=10.0, keep_jobs_s=100.0))
    archive.put(ended(make_job("waited"), ENDS[0]), 0.0)
    archive.put(ended(replace(make_job("part"), owner="me", batch="open"), ENDS[0]), 0.0)
    archive.put(ended(replace(make_job("owned"), owner="me"), ENDS[0]), 50.0)
    left = ("waited", "part", "owned")

    def forget(now_s: float, needed: str = "") -> list[str]:
        archive.forget(now_s, is_needed=lambda batch: batch == needed)
        return [name for name in left if archive.has(name)]

    assert forget(9.0, "open") == ["waited", "part", "owned"]
    assert forget(99.0, "open") == ["part", "owned"]
    assert forget(120.0, "open") == ["part", "owned"]
    assert forget(120.0) == ["owned"]
    assert forget(151.0) == []
    assert archive.find("owned") is None
