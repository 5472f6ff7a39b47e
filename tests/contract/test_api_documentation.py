"""docs/api.md names what the server and the client really have."""

import re
from pathlib import Path

import pytest

import gram_client
from gram_client._problems import status_class
from gram_server.answers import Board, GenerateResponse, SolveResponse
from gram_server.api.errors import CATALOGUE
from gram_server.api.queries import GenerateQuery, Query, SolveQuery, describe
from gram_server.api.schemas import ModelInfo

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")


def rows(heading: str, section: str = "") -> list[list[str]]:
    """Return the cells of the section's first table whose first column has that heading."""
    text = PAGE.partition(f"## {section}")[2] if section else PAGE
    table = text.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def problems() -> dict[str, tuple[int, str]]:
    """Return status and client class by code."""
    return {
        code: (int(status), names(kind)[0])
        for status, codes, kind in rows("status")
        for code in names(codes)
        if code != "Retry-After"
    }


@pytest.mark.parametrize(
    ("section", "query"), [("POST /solve", SolveQuery), ("POST /generate", GenerateQuery)]
)
def test_every_parameter_is_listed_with_its_default(section: str, query: type[Query]) -> None:
    documented = {names(row[0])[0]: row[1] for row in rows("parameter", section)}
    parameters = describe(query)
    assert list(documented) == [parameter["name"] for parameter in parameters]
    for parameter in parameters:
        if "default" in parameter["schema"]:
            default = str(parameter["schema"]["default"]).lower()
            assert documented[parameter["name"]].strip("`") == default


def test_every_problem_is_listed_with_its_status() -> None:
    statuses = {code: status for code, (status, _) in problems().items()}
    assert statuses == {code: kind.status for code, kind in CATALOGUE.items()}


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_the_client_raises_the_class_that_is_listed(code: str) -> None:
    status, kind = problems()[code]
    assert status_class(status) is getattr(gram_client, kind)


def test_every_field_of_an_answer_is_explained() -> None:
    fields = (name for row in rows("field", "POST /solve") for name in names(row[0]))
    assert set(SolveResponse.model_fields) <= {re.split(r"[.\[]", field)[0] for field in fields}


def test_every_field_of_made_up_boards_is_explained() -> None:
    fields = {name for row in rows("field", "POST /generate") for name in names(row[0])}
    assert set(GenerateResponse.model_fields) - {"boards"} <= fields
    assert {f"boards[].{name}" for name in Board.model_fields} <= fields


def test_every_field_of_a_model_is_listed() -> None:
    assert all(f'"{field}"' in PAGE for field in ModelInfo.model_fields)
