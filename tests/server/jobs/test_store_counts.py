"""Every job that was accepted is counted once more by how it ended."""

import pytest

from gram_server.job import JobState, outcome_of


@pytest.mark.parametrize(
    ("state", "result", "has_solutions", "outcome"),
    [
        (JobState.DONE, {"status": "complete", "boards": [{}]}, False, "solved"),
        (JobState.DONE, {"status": "exhausted", "boards": []}, True, "unsolved"),
        (JobState.DONE, {"status": "answered", "candidates": [{}]}, False, "answered"),
        (JobState.EXPIRED, {"status": "partial", "candidates": [{}]}, False, "partial"),
        (JobState.EXPIRED, {"status": "partial", "boards": []}, True, "deadline"),
        (JobState.EXPIRED, None, True, "partial"),
        (JobState.EXPIRED, None, False, "deadline"),
        (JobState.CANCELLED, None, True, "cancelled"),
    ],
)
def test_an_outcome_follows_from_state_result_and_what_was_told(
    state: JobState, result: dict[str, object] | None, has_solutions: bool, outcome: str
) -> None:
    assert outcome_of(state, result, has_solutions=has_solutions) == outcome
