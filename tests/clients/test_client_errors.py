"""Errors as programs use them: pickled, copied, caught by old names; and what never shows."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import gram_client
from gram_client import (
    AsyncClient,
    Client,
    ConfigInvalid,
    GramError,
    SolveResult,
)
from gram_client._errors import ResponseInvalid, StatusError
from gram_client._server_models import Issue, Problem
from tests.clients.scripted import BOARD, RESULT, Caller


def kinds(kind: type[GramError] = GramError) -> Iterator[type[GramError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


def made(kind: type[GramError]) -> GramError:
    if issubclass(kind, StatusError):
        issue = Issue(field="grid", detail="two 5s in row 4", rule="row 4")
        problem = Problem(detail="no", code=kind.code, request_id="r-1", errors=(issue,))
        return kind(problem, status_code=422, body=b"{}", retry_after_s=2.5)
    if issubclass(kind, ResponseInvalid):
        return kind("unreadable", status_code=200, body=b"<html>")
    return kind("words")


WAYS: tuple[Callable[[Any], Any], ...] = (
    lambda one: pickle.loads(pickle.dumps(one)),
    copy.copy,
    copy.deepcopy,
)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_and_copying(kind: type[GramError]) -> None:
    error = made(kind)
    for through in WAYS:
        back = through(error)
        assert type(back) is kind
        assert str(back) == str(error)
        assert vars(back) == vars(error)


def test_a_result_survives_pickling_and_copying_with_its_drawings() -> None:
    result = SolveResult.model_validate(RESULT)
    for through in WAYS:
        back = through(result)
        assert back == result
        assert str(back) == str(result) == f"solved: 1 distinct\nsolution 1, 15 votes\n{BOARD}"[:-1]


SECRET = "s3cret-word"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_no_key_or_password_is_shown(kind: type[Client] | type[AsyncClient]) -> None:
    settings = kind(f"http://me:{SECRET}@127.0.0.1:1", api_key=SECRET).settings
    assert SECRET not in repr(settings)
    assert SECRET not in f"{settings} {settings.shown_url}"
    assert settings.shown_url == "http://127.0.0.1:1"


def test_a_server_that_cannot_be_reached_is_named_without_its_password(closed_port: int) -> None:
    with (
        Client(f"http://me:{SECRET}@127.0.0.1:{closed_port}", max_retries=0) as client,
        pytest.raises(gram_client.ConnectionFailed, match=str(closed_port)) as caught,
    ):
        client.solve("12..")
    assert SECRET not in str(caught.value)


OPTIONS = ("timeout_s", "max_retries", "default_headers")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("api_key", f"{SECRET}{end}") for end in ("\n", "\u00e9")),
        ("base_url", f"ftp://me:{SECRET}@here"),
        *(
            ("base_url", url)
            for url in (
                f"http://me:{SECRET}@here:port",
                "localhost:1",
                "http://",
                "http://here:65536",
                5,
            )
        ),
        *(("timeout_s", value) for value in ("5", 0, None)),
        *(("max_retries", value) for value in ("3", 1.5, -1)),
        *(("default_headers", {"X-Key": f"{SECRET}{end}"}) for end in ("\n", "\u00e9")),
        *(("http_client", other) for other in (httpx.AsyncClient(), "a proxy")),
    ],
)
def test_what_no_call_could_use_is_refused_in_words(name: str, value: Any) -> None:
    makers: list[Callable[..., Any]] = [Client]
    if name in OPTIONS:
        makers.append(Client().with_options)
    for make in makers:
        with pytest.raises(ConfigInvalid) as caught:
            make(**{name: value})
        assert name in str(caught.value) or name == "default_headers"
        assert SECRET not in str(caught.value)


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="retries"):
        Client(retries=3)  # type: ignore[call-arg]  # a mistake


def test_an_asynchronous_client_takes_no_connections_that_block() -> None:
    with httpx.Client() as blocking, pytest.raises(ConfigInvalid, match=r"httpx\.AsyncClient"):
        AsyncClient(http_client=blocking)  # type: ignore[arg-type]


@pytest.mark.parametrize("job_id", ["", None, 5])
def test_a_job_id_that_is_none_is_refused_before_anything_is_sent(
    call: Caller, job_id: object
) -> None:
    for method in ("jobs.get", "jobs.cancel", "jobs.wait", "jobs.events"):
        with pytest.raises(ConfigInvalid, match="job_id"):
            call(method, job_id)
    assert not call.received


@pytest.mark.parametrize("key", ["two\nlines", "caf\u00e9", "", " x", 5])
def test_a_key_that_no_header_can_carry_is_refused(call: Caller, key: object) -> None:
    with pytest.raises(ConfigInvalid, match="idempotency_key"):
        call("jobs.create", "12..", idempotency_key=key)
    assert not call.received
