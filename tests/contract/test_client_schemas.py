"""The client reads what the server's schemas promise, field by field."""

from typing import get_args

import pytest
from pydantic import BaseModel

import gram_client
from gram_client._models import Issue, ModelInfo, Problem, PuzzleInfo
from gram_server import answers
from gram_server.api import schemas

PAIRS = [
    (gram_client.SolveResult, answers.SolveResponse),
    (gram_client.Solution, answers.Solution),
    (gram_client.First, answers.First),
    (gram_client.Completeness, answers.Completeness),
    (gram_client.BestAttempt, answers.BestAttempt),
    (gram_client.Violation, answers.Violation),
    (gram_client.Usage, answers.Usage),
    (gram_client.Board, answers.Board),
    (gram_client.GenerateResult, answers.GenerateResponse),
    (gram_client.Job, schemas.JobDocument),
    (gram_client.JobSummary, schemas.JobSummary),
    (gram_client.JobPage, schemas.JobPage),
    (gram_client.JobFailure, schemas.Failure),
    (gram_client.BatchProgress, schemas.Progress),
    (gram_client.Sight, answers.Sight),
    (Issue, schemas.ProblemIssue),
    (ModelInfo, schemas.ModelInfo),
    (PuzzleInfo, schemas.PuzzleInfo),
]


@pytest.mark.parametrize(("read", "sent"), PAIRS, ids=lambda model: model.__name__)
def test_the_client_knows_every_field_and_no_other(
    read: type[BaseModel], sent: type[BaseModel]
) -> None:
    assert set(read.model_fields) == set(sent.model_fields)


@pytest.mark.parametrize(("read", "sent"), PAIRS, ids=lambda model: model.__name__)
def test_the_client_needs_only_what_is_always_sent(
    read: type[BaseModel], sent: type[BaseModel]
) -> None:
    needed = {name for name, field in read.model_fields.items() if field.is_required()}
    assert needed <= {name for name, field in sent.model_fields.items() if field.is_required()}


@pytest.mark.parametrize(
    ("read", "sent", "renamed"),
    [
        (gram_client.Accepted, answers.AcceptedEvent, {"job_id"}),
        (gram_client.Progress, answers.ProgressEvent, {"id"}),
        (gram_client.PartEnded, schemas.PartEndedEvent, {"job_id"}),
    ],
)
def test_the_client_knows_every_field_of_an_event(
    read: type[BaseModel], sent: type[BaseModel], renamed: set[str]
) -> None:
    # The id of an event is its own; that of its job has another name.
    assert set(read.model_fields) - renamed == set(sent.model_fields)


def test_the_client_reads_the_fields_of_a_problem_that_it_keeps() -> None:
    assert set(Problem.model_fields) <= set(schemas.ProblemDocument.model_fields)


def test_the_states_of_a_trajectory_are_the_same() -> None:
    assert get_args(gram_client.Sight.model_fields["state"].annotation) == get_args(
        answers.Sight.model_fields["state"].annotation
    )
