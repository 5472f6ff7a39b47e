"""Whatever happens in the client of Redis, callers see one error, at once."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from gram_server.errors import StoreUnavailable
from gram_server.jobs.redis_connection import RedisConnection
from gram_server.settings import RedisConfig

pytestmark = pytest.mark.anyio
NOBODY = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RedisConnectionError("gone"), "unreachable"),
        (asyncio.CancelledError(), "unreachable"),
        (ResponseError("OOM no room"), "refused"),
        (RuntimeError("read() called while another coroutine waits"), "tripped"),
        (AttributeError("'NoneType' object has no attribute 'readline'"), "tripped"),
        (asyncio.IncompleteReadError(b"", 1), "tripped"),
    ],
)
async def test_every_failure_of_the_client_is_the_one_that_callers_know(
    error: BaseException, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = RedisConnection(RedisConfig(store=NOBODY))

    async def fail(*_: object) -> Any:
        raise error

    monkeypatch.setattr(connection._commands, "execute_command", fail)
    with pytest.raises(StoreUnavailable):
        await connection.execute("PING")
    assert {name for name, count in connection.num_errors.items() if count} == {kind}
    await connection.close()


async def test_a_caller_that_is_cancelled_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = RedisConnection(RedisConfig(store=NOBODY))

    async def hang(*_: object) -> Any:
        await asyncio.sleep(60.0)

    monkeypatch.setattr(connection._commands, "execute_command", hang)
    calling = asyncio.create_task(connection.execute("PING"))
    await asyncio.sleep(0.01)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert not any(connection.num_errors.values())
    await connection.close()


async def test_nothing_is_tried_while_redis_is_known_to_be_down() -> None:
    connection = RedisConnection(RedisConfig(store=NOBODY))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await connection.execute("PING")
    found = {name: count for name, count in connection.num_errors.items() if count}
    assert found == {"unreachable": 1, "not_tried": 1}
    await connection.close()
