"""When a call is tried again, and after how long."""

import random

import httpx
import pytest

from gram_client._errors import ConnectionFailed, TimedOut
from gram_client._problems import status_error
from gram_client._retry import Retry


def test_waits_double_up_to_the_cap_and_are_spread() -> None:
    retry = Retry(max_retries=20, rng=random.Random(0))
    for attempt in range(20):
        ceiling_s = min(8.0, 0.25 * 2**attempt)
        delays_s = [
            retry.delay_s(status_error(httpx.Response(500)), attempt=attempt) for _ in range(50)
        ]
        assert all(delay and ceiling_s / 2 <= delay <= ceiling_s for delay in delays_s)
        assert len(set(delays_s)) > 40


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(status: int) -> None:
    assert Retry(max_retries=1).delay_s(status_error(httpx.Response(status)), attempt=0) is not None


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 413, 422])
def test_lasting_answers_are_not_tried_again(status: int) -> None:
    assert Retry(max_retries=1).delay_s(status_error(httpx.Response(status)), attempt=0) is None


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("is_retryable", [True, False])
def test_what_the_server_says_of_trying_again_goes_before_the_status(
    status: int, is_retryable: bool
) -> None:
    response = httpx.Response(status, json={"status": status, "retryable": is_retryable})
    delay_s = Retry(max_retries=1).delay_s(status_error(response), attempt=0)
    assert (delay_s is not None) == is_retryable


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b'"retryable"', b""])
def test_a_proxys_page_says_nothing_of_trying_again(body: bytes) -> None:
    assert (
        Retry(max_retries=1).delay_s(status_error(httpx.Response(502, content=body)), attempt=0)
        is not None
    )


def test_the_last_attempt_has_no_successor() -> None:
    assert Retry(max_retries=2).delay_s(ConnectionFailed(), attempt=1) is not None
    assert Retry(max_retries=2).delay_s(ConnectionFailed(), attempt=2) is None


def test_a_timeout_ends_the_call() -> None:
    assert Retry(max_retries=2).delay_s(TimedOut(), attempt=0) is None


@pytest.mark.parametrize(
    ("header", "delay_s"), [("0", 0.0), ("1.5", 1.5), ("60", 60.0), ("61", None)]
)
def test_the_servers_wish_goes_before_the_backoff(header: str, delay_s: float | None) -> None:
    response = httpx.Response(429, headers={"Retry-After": header})
    assert Retry(max_retries=1).delay_s(status_error(response), attempt=0) == delay_s


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wish_that_is_no_number_of_seconds_falls_back_to_the_backoff(header: str) -> None:
    response = httpx.Response(503, headers={"Retry-After": header})
    delay_s = Retry(max_retries=1).delay_s(status_error(response), attempt=0)
    assert delay_s is not None
    assert 0.125 <= delay_s <= 0.25
