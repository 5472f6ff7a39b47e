"""What comes out of the archive is what went in."""

from dataclasses import replace
from typing import Any

import pytest

from gram_server.job import Event, EventKind, Job, JobError, JobState
from gram_server.jobs.finished_jobs import FinishedJobs
from gram_server.jobs.queued_job import QueuedJob, accepted_event, final_event
from gram_server.settings import QueueConfig
from tests.server.jobs.conftest import MakeJob

ENDS: tuple[dict[str, Any], ...] = (
    {"state": JobState.DONE, "result": {"status": "solved", "solutions": [{"answer": "12"}]}},
    {"state": JobState.EXPIRED, "result": {"status": "partial", "solutions": []}},
    {"state": JobState.EXPIRED},
    {"state": JobState.FAILED, "error": JobError(code="bad_row", detail="so")},
    {"state": JobState.CANCELLED},
)


def ended(job: Job, end: dict[str, Any]) -> QueuedJob:
    entry = QueuedJob(job, started_s=3.5, finished_s=7.0, **end)
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
    archive = FinishedJobs(QueueConfig())
    entry = ended(replace(make_job(deadline_s=2_000.0), owner=owner), end)
    archive.put(entry, 7.0)
    assert archive.has("a")
    found = archive.find("a")
    assert found == entry
    assert found is not entry
    assert [event.id for event in entry.events] == [1, 4, 5, 6]


def test_a_batch_comes_back_with_its_parts(make_job: MakeJob) -> None:
    archive = FinishedJobs(QueueConfig())
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
    assert [place.partition("-")[2] for place in archive.sort_keys_of("me")] == ["batch"]


def owned(job: Job, owner: str | None = "me", **changes: Any) -> QueuedJob:
    return ended(replace(job, owner=owner, **changes), ENDS[0])


def names_left(archive: FinishedJobs, *names: str) -> list[str]:
    return [name for name in names if archive.has(name)]


def test_what_is_needed_or_young_is_not_forgotten(make_job: MakeJob) -> None:
    archive = FinishedJobs(QueueConfig(keep_finished_s=10.0, keep_jobs_s=100.0))
    part = owned(make_job("part"), batch="batch")
    batch = owned(make_job("batch"), num_parts=1)
    batch.parts = (part,)

    def forget(now_s: float) -> list[str]:
        archive.forget(now_s)
        return names_left(archive, "waited", "part", "owned", "batch")

    archive.put(ended(make_job("waited"), ENDS[0]), 0.0)
    archive.put(part, 0.0)
    archive.put(owned(make_job("owned")), 50.0)
    assert forget(9.0) == ["waited", "part", "owned"]
    assert forget(149.0) == ["part", "owned"]
    assert forget(151.0) == ["part"]
    archive.put(batch, 1_000.0)
    assert forget(1_099.0) == ["part", "batch"]
    assert forget(1_101.0) == []
    assert (archive.num_jobs, archive.num_bytes) == (0, 0)


def test_beyond_the_bound_the_oldest_of_the_owner_with_most_goes(make_job: MakeJob) -> None:
    archive = FinishedJobs(QueueConfig(max_finished_jobs=4))
    archive.put(owned(make_job("other"), owner="you"), 0.0)
    for number in range(5):
        archive.put(owned(make_job(f"j{number}")), number)
    assert archive.make_room()
    assert names_left(archive, "other", "j0", "j1", "j2") == ["other", "j2"]
    assert (archive.num_jobs, archive.forgotten_early) == (4, 2)


def test_the_bound_in_bytes_is_kept_too(make_job: MakeJob) -> None:
    archive = FinishedJobs(QueueConfig(max_finished_bytes=20_000))
    for number in range(3):
        entry = owned(make_job(f"j{number}"))
        entry.result = {"status": "solved", "solutions": ["x" * 8_000]}
        archive.put(entry, number)
    assert archive.make_room()
    assert names_left(archive, "j0", "j1", "j2") == ["j1", "j2"]
    assert archive.num_bytes <= 20_000


def test_parts_of_an_unfinished_batch_leave_no_room_and_are_not_forgotten(
    make_job: MakeJob,
) -> None:
    archive = FinishedJobs(QueueConfig(max_finished_jobs=2))
    parts = tuple(owned(make_job(f"p{number}"), batch="batch") for number in range(3))
    for part in parts:
        archive.put(part, 0.0)
    assert not archive.make_room()
    assert archive.num_jobs == 3
    batch = owned(make_job("batch"), num_parts=3)
    batch.parts = parts
    archive.put(batch, 1.0)
    assert archive.make_room()
    assert (archive.num_jobs, archive.forgotten_early) == (0, 4)
