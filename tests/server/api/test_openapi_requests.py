"""The server against its OpenAPI document, by schemathesis over real HTTP.

Its cases at the borders take seconds to make when the file is collected: test-fast leaves it out.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gram_server.settings import HttpConfig, Settings
from tests.server.api.conftest import key_entry, write_keys
from tests.server.api.serving import serving
from tests.server.api.test_openapi import DOCUMENT

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)

TOKEN = "a-key-for-tests"
MANY_EXAMPLES = 1300
"""At random for each operation, beside those at the borders; each goes with a key and without."""
NUM_EXAMPLES = 10_000
"""What all must come to: an operation without input soon runs out of examples."""

# A schema cannot say that two fives in a row are no sudoku.
LEFT_OUT: list[CheckFunction] = [positive_data_acceptance]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with serving(Settings()) as url:
        yield url


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, with a file of API keys."""
    entry = key_entry("tester", "admin", token=TOKEN)
    path = write_keys(tmp_path_factory.mktemp("keys") / "keys.json", entry)
    with serving(Settings(http=HttpConfig(keys=str(path)))) as url:
        yield url


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """Count examples by operation; they must be enough where every operation had its turn."""
    counted: Counter[str] = Counter()
    yield counted
    print(f"examples: {counted.total()}: {dict(counted)}")  # noqa: T201
    if len(counted) == sum(len(operations) for operations in DOCUMENT["paths"].values()):
        assert counted.total() >= NUM_EXAMPLES, counted


@pytest.mark.slow
@SCHEMA.parametrize()
@hypothesis.settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_the_server_answers_only_what_its_document_says(case: Any, base_url: str) -> None:
    case.call_and_validate(base_url=base_url, excluded_checks=LEFT_OUT, timeout=10.0)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@SCHEMA.parametrize()
@hypothesis.settings(max_examples=MANY_EXAMPLES, deadline=None, derandomize=True, database=None)
def test_thousands_of_requests_get_documented_answers_with_a_key_and_without(
    case: Any, guarded_url: str, tally: Counter[str]
) -> None:
    tally[case.operation.label] += 1
    case.call_and_validate(base_url=guarded_url, excluded_checks=LEFT_OUT, timeout=30.0)
    case.headers["Authorization"] = f"Bearer {TOKEN}"
    case.call_and_validate(base_url=guarded_url, excluded_checks=LEFT_OUT, timeout=30.0)
