"""The client reads what the server's schemas promise, field by field."""

from typing import get_args

import pytest
from pydantic import BaseModel

import gram_client
from gram_client import _protocol
from gram_client._models import Issue, ModelInfo, Problem, PuzzleInfo
from gram_server.api import schemas
from gram_server.api.parameters import CLUES
from gram_server.job import COUNTS, FALLBACKS, HALTS

PAIRS = [
    (gram_client.SolveResult, schemas.SolveResponse),
    (gram_client.Solution, schemas.Solution),
    (gram_client.First, schemas.First),
    (gram_client.Completeness, schemas.Completeness),
    (gram_client.BestAttempt, schemas.BestAttempt),
    (gram_client.Violation, schemas.Violation),
    (gram_client.Usage, schemas.Usage),
    (gram_client.Board, schemas.Board),
    (gram_client.GenerateResult, schemas.GenerateResponse),
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


def test_the_client_reads_the_fields_of_a_problem_that_it_keeps() -> None:
    assert set(Problem.model_fields) <= set(schemas.ProblemDocument.model_fields)


def test_the_choices_of_parameters_are_the_same() -> None:
    assert get_args(_protocol.Halt) == HALTS
    assert get_args(_protocol.Fallback) == FALLBACKS
    assert get_args(_protocol.Count) == COUNTS
    assert get_args(get_args(_protocol.Clues)[0]) == CLUES
