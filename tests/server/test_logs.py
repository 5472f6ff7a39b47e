import logging

import pytest

from gram_server.logs import EVERY_S, MAX_TEXTS, SparseLog

LOGGER = logging.getLogger("sparse")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_same_is_said_at_once_and_then_once_a_minute_with_how_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = SparseLog(LOGGER, clock=clock)
    for _ in range(4 * 159):
        log.say(logging.ERROR, "no room in %s", "Redis")
        clock.now_s += EVERY_S / 159
    assert caplog.messages[0] == "no room in Redis"
    assert caplog.messages[1] == "no room in Redis (158 times more in the last 60 s)"
    assert len(caplog.messages) == 4


def test_different_lines_do_not_keep_each_other_back(caplog: pytest.LogCaptureFixture) -> None:
    log = SparseLog(LOGGER, clock=Clock())
    for _ in range(3):
        for name in ("a", "b"):
            log.say(logging.WARNING, "%s", name)
    assert caplog.messages == ["a", "b"]


def test_what_was_over_is_said_at_once_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    log = SparseLog(LOGGER, clock=Clock())
    assert log.say(logging.ERROR, "%s is gone", "it")
    assert not log.say(logging.ERROR, "%s is gone", "it")
    log.forget("%s is gone", "it")
    assert log.say(logging.ERROR, "%s is gone", "it")
    assert caplog.messages == ["it is gone"] * 2


def test_lines_without_end_do_not_fill_the_memory() -> None:
    log = SparseLog(LOGGER, clock=Clock())
    for number in range(10 * MAX_TEXTS):
        log.say(logging.DEBUG, "line %d", number)
    assert len(log._said) == MAX_TEXTS
