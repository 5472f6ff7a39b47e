"""The OpenAPI document itself: what it says of parameters, problems and examples."""

from typing import Any

from gram_core.puzzles import family
from gram_server.answers import GenerateResponse
from gram_server.api.errors import CATALOGUE, PROBLEM_MEDIA_TYPE
from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import QueueConfig, Settings

DOCUMENT = create_app(Settings(), store=MemoryStore(QueueConfig())).openapi()


def test_problems_have_their_media_type_and_their_schema() -> None:
    responses = DOCUMENT["paths"]["/solve"]["post"]["responses"]
    assert set(responses) == {
        *("200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503")
    }
    for status, response in responses.items():
        if status != "200":
            [media_type] = response["content"]
            assert media_type == PROBLEM_MEDIA_TYPE
    assert "Retry-After" in responses["429"]["headers"]
    for kind in CATALOGUE.values():
        if str(kind.status) in responses:
            assert f"`{kind.code}`" in responses[str(kind.status)]["description"] or (
                kind.code in ("job_not_found",)
            )


def test_the_parameters_and_problems_of_generate_are_documented() -> None:
    generate = DOCUMENT["paths"]["/generate"]["post"]
    assert set(generate["responses"]) == {
        *("200", "400", "401", "403", "408", "413", "422", "429", "500", "503")
    }
    assert "requestBody" not in generate
    schema = {parameter["name"]: parameter["schema"] for parameter in generate["parameters"]}
    assert schema["puzzle"]["enum"] == ["sudoku"]
    assert (schema["count"]["minimum"], schema["count"]["maximum"]) == (1, 1024)
    assert schema["reduce_clues"]["anyOf"][0]["enum"] == ["none", "unique"]


def test_every_body_and_parameter_is_documented() -> None:
    solve = DOCUMENT["paths"]["/solve"]["post"]
    assert set(solve["requestBody"]["content"]) == {"application/json", "text/plain"}
    names = [part["$ref"].rsplit("/", 1)[1] for part in _one_of(solve)]
    assert names == [
        *("SudokuBody", "NQueensBody", "GraphColoringBody", "MazeBody"),
        *("FutoshikiBody", "LightUpBody", "JigsawBody", "ArcBody"),
    ]
    assert set(names) <= set(DOCUMENT["components"]["schemas"])
    names = [known["name"] for known in solve["parameters"]]
    assert set(names) == {
        *("puzzle", "colors", "width", "depth", "max_solutions", "deadline_ms", "seed", "augment"),
        *("halt", "fallback", "count_solutions", "best_attempt", "model", "show_trajectories"),
    }


def test_a_batch_takes_every_puzzle_that_a_solve_takes() -> None:
    instances = DOCUMENT["components"]["schemas"]["BatchBody"]["properties"]["instances"]
    named = [part["$ref"] for part in instances["items"]["anyOf"] if "$ref" in part]
    assert named == [part["$ref"] for part in _one_of(DOCUMENT["paths"]["/solve"]["post"])]


def test_the_example_of_made_up_boards_is_a_puzzle_with_one_solution() -> None:
    [example] = DOCUMENT["components"]["schemas"]["GenerateResponse"]["examples"]
    GenerateResponse.model_validate(example)
    sudoku = family("sudoku")
    for board in example["boards"]:
        grid = sudoku.parse({"grid": board["puzzle"]})
        answers = [sudoku.decode(grid, found) for found in sudoku.enumerate(grid, limit=2)]
        assert answers == [board["answer"]]
        assert len(board["puzzle"].replace(".", "")) == board["clues"]


def _one_of(operation: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = operation["requestBody"]["content"]["application/json"]["schema"][
        "oneOf"
    ]
    return found
