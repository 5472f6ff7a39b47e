"""Connections to Redis, whatever the URL: one server, Sentinel or a cluster.

Every failure becomes ``StoreUnavailable``, at once while Redis is known to be down. Blocking reads
use connections of their own, so that no other call waits behind them. Also the periodic tasks of
both sides of the queue.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from gram_server.errors import ConfigError, StoreRefused, StoreUnavailable
from gram_server.jobs.redis_library import BOUNDED, Keys, library
from gram_server.jobs.redis_trouble import LOST_CONNECTION, kind_of, trouble_of
from gram_server.logs import SparseLog
from gram_server.settings import RedisConfig
from gram_server.store_url import ENCODE, hosts, redact_url

BLOCK_S = 1.0
DOWN_S = 0.25
"""Time for which calls fail at once after Redis could not be reached."""
CONNECT_S = 1.0
MAX_CONNECTIONS = 16
END_S = 0.5
"""Time that cancelled tasks are given to end before they are cancelled again."""

CLIENT_BUGS = (AttributeError, RuntimeError, EOFError)
"""Errors that redis-py raises when a connection breaks at a bad moment."""
ERROR_KINDS = ("unreachable", "refused", "not_tried", "tripped")
"""``not_tried``: Redis could not be reached a moment before; ``tripped``: see ``CLIENT_BUGS``."""
MAX_COLLISIONS = 10
COLLISION_S = 0.02

TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Query parameters of a URL: the CA of Redis's certificate, and a client certificate."""

WANTED_SETTINGS = {
    "maxmemory-policy": ("noeviction", "it may drop jobs when its memory is full"),
    "appendonly": ("yes", "a restart loses every job"),
}

Argument = str | bytes | int | float
Client = Redis | RedisCluster

logger = logging.getLogger(__name__)


class RedisConnection:
    """Runs the Lua functions of one queue."""

    def __init__(self, config: RedisConfig, *, clock: Callable[[], float] | None = None) -> None:
        """``clock`` replaces the time of Redis, which is that of the queue, in tests."""
        self._config = config
        self.keys = Keys(config.queue_name)
        self._clock = clock
        # All functions but ``claim`` may run twice: a call whose answer was lost is repeated.
        self._commands = open_client(config, num_retries=1)
        self._blocking = open_client(config, num_retries=0)
        # Once: the check is slow, as the class has protocols among its bases.
        self._is_cluster = isinstance(self._commands, RedisCluster)
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._down_until_s = 0.0
        self._trouble = trouble_of(TimeoutError())
        self._log = SparseLog(logger)
        self._abandoned: set[asyncio.Future[Any]] = set()
        self.num_errors = dict.fromkeys(ERROR_KINDS, 0)

    @property
    def has_skew(self) -> bool:
        """Whether times of this host must be converted: hosts need not agree."""
        return self._clock is None

    def offset_s(self, redis_s: bytes | str, heard_s: float | None = None) -> float:
        """Return this host's lead over Redis, whose time was read at ``heard_s``, or just now."""
        return (heard_s or time.time()) - float(redis_s) if self.has_skew else 0.0

    async def run(self, name: str, *arguments: Argument, is_repeatable: bool = True) -> Any:
        client = self._commands if is_repeatable else self._blocking
        async with self._room:
            return await self._guard(
                lambda: self._run(client, name, arguments), self._config.redis_timeout_s
            )

    async def execute(self, *command: Argument) -> Any:
        async with self._room:
            return await self._guard(
                lambda: self._commands.execute_command(*command), self._config.redis_timeout_s
            )

    async def probe(self) -> str:
        """Return the kind of error, such as OOM, with which Redis refuses writes; or ''."""

        async def try_to_write() -> str:
            try:
                await self._commands.set(f"{self.keys.prefix}probe", 1, px=1000)
            except LOST_CONNECTION:
                raise
            except RedisError as error:
                return kind_of(error)
            return ""

        async with self._room:
            return str(await self._guard(try_to_write, self._config.redis_timeout_s))

    async def read_new(self, last: dict[str, str], *, count: int = 1000) -> dict[str, list[Any]]:
        """Wait up to ``BLOCK_S`` for entries after the last ids; return them by stream."""
        block_ms = int(BLOCK_S * 1e3)
        streams = await self._guard(
            lambda: self._blocking.xread(cast("Any", last), count=count, block=block_ms),
            BLOCK_S + self._config.redis_timeout_s,
        )
        return {name.decode(): entries for name, entries in streams}

    async def warn_about_settings(self) -> None:
        for name, value in (await self.read_settings()).items():
            wanted, danger = WANTED_SETTINGS[name]
            if value != wanted:
                logger.warning("Redis has %s %s, not %s: %s", name, value, wanted, danger)

    async def read_settings(self) -> dict[str, str]:
        """Return the settings that matter, as far as they may be read."""
        found: dict[str, str] = {}
        for name, (wanted, _) in WANTED_SETTINGS.items():
            try:
                reply = await self._commands.config_get(name)
            except (RedisError, OSError):
                # Not permitted, or Redis is not up yet.
                return found
            value = next(iter(reply.values()), wanted)
            found[name] = value.decode() if isinstance(value, bytes) else str(value)
        return found

    async def close(self) -> None:
        if self._abandoned:
            await asyncio.wait(set(self._abandoned), timeout=BLOCK_S)
        for client in (self._commands, self._blocking):
            pool = getattr(client, "connection_pool", None)
            # Closing the master's client leaves those of the sentinels open.
            sentinels = ()
            if isinstance(pool, SentinelConnectionPool):
                sentinels = pool.sentinel_manager.sentinels
            for each in (*sentinels, client):
                try:
                    await each.aclose()
                except (RedisError, OSError) as error:
                    logger.debug("a connection did not close in time: %r", error)

    async def _run(self, client: Client, name: str, arguments: tuple[Argument, ...]) -> Any:
        call = partial(self._call_node, client) if self._is_cluster else client.execute_command
        function = library().function(name)
        start = (1, self.keys.prefix)
        # 0 makes the functions read the clock of Redis.
        rest = ("0" if self._clock is None else repr(self._clock()), *arguments)
        for _ in range(MAX_COLLISIONS):
            try:
                return await call("FCALL", function, *start, *rest)
            except ResponseError as error:
                if "Function not found" not in str(error):
                    raise
                # The library is new to this Redis, or was lost with its data.
                try:
                    await call("FUNCTION LOAD", "REPLACE", library().text)
                except OutOfMemoryError:
                    if name in BOUNDED:
                        raise
                    script = library().script
                    return await call("EVAL", script, *start, name, *rest)
            except AttributeError:
                # While it discovers the shards, the cluster client may close a connection that
                # another call is opening; nothing was sent.
                await asyncio.sleep(COLLISION_S)
        raise RedisConnectionError("the client could not open a connection")

    async def _call_node(self, client: Any, *command: Argument) -> Any:
        """Run a command on the one cluster node that holds all keys."""
        await client.initialize()
        node = client.get_node_from_key(self.keys.prefix)
        return await client.execute_command(*command, target_nodes=node)

    async def _guard(self, work: Callable[[], Awaitable[Any]], timeout_s: float) -> Any:
        """Raise ``StoreUnavailable`` for every failure."""
        if time.monotonic() < self._down_until_s:
            self.num_errors["not_tried"] += 1
            raise StoreUnavailable(self._trouble.text)
        try:
            reply = await self._answer(asyncio.ensure_future(work()), timeout_s)
        except (*LOST_CONNECTION, RedisError) as error:
            trouble = trouble_of(error)
            self.num_errors[trouble.kind] += 1
            if trouble.is_lost:
                self._trouble = trouble
                self._down_until_s = time.monotonic() + DOWN_S
            self._log.say(logging.ERROR, "%s", trouble.line)
            kind = StoreRefused if trouble.is_lasting else StoreUnavailable
            raise kind(trouble.text) from error
        except CLIENT_BUGS as error:
            self.num_errors["tripped"] += 1
            self._log.say(logging.ERROR, "the client of Redis tripped", exc_info=error)
            raise StoreUnavailable("Redis cannot be reached") from error
        if self._down_until_s:
            self._down_until_s = 0.0
            if self._log.say(logging.INFO, "Redis can be reached again"):
                self._log.forget("%s", self._trouble.line)
        return reply

    async def _answer(self, call: "asyncio.Future[Any]", timeout_s: float) -> Any:
        """Wait for a call, but not for the end of one that is given up.

        The client may lose a cancellation, and our caller must not wait for that.
        """
        try:
            done, _ = await asyncio.wait((call,), timeout=timeout_s)
            if not done:
                raise TimeoutError(f"no answer within {timeout_s:g} s")
            if call.cancelled():
                # Cancelled inside redis-py: ``result`` would look like our caller's cancellation.
                raise TimeoutError("the client gave up")
            return call.result()
        finally:
            if not call.done():
                call.cancel()
                self._abandoned.add(call)
                call.add_done_callback(self._forget)

    def _forget(self, call: "asyncio.Future[Any]") -> None:
        self._abandoned.discard(call)
        if not call.cancelled() and call.exception() is not None:
            logger.debug("a call that was given up failed: %r", call.exception())


def open_client(config: RedisConfig, *, num_retries: int) -> Client:
    """Return a client for the URL; it connects when it is used."""
    url = config.store or ""
    try:
        return _open(url, config, num_retries=num_retries)
    except (ValueError, TypeError):
        # Not chained: its message may hold any part of the URL.
        raise ConfigError("store", redact_url(url), f"cannot be used; {ENCODE}") from None


def _open(url: str, config: RedisConfig, *, num_retries: int) -> Client:
    parts, connect_s = urlsplit(url), min(CONNECT_S, config.redis_timeout_s)
    options: dict[str, Any] = {
        "socket_timeout": BLOCK_S + config.redis_timeout_s,
        "socket_connect_timeout": connect_s,
        "socket_keepalive": True,
        # More than the semaphore admits: broken connections are released late.
        "max_connections": 8 * MAX_CONNECTIONS,
        "protocol": 2,
    }
    retry = Retry(NoBackoff(), num_retries)
    if parts.scheme in ("redis", "rediss", "unix"):
        return Redis.from_url(url, retry=retry, **options)
    query, tls = dict(parse_qsl(parts.query)), dict[str, Any]()
    if parts.scheme.startswith("rediss"):
        # Named as for ``rediss://``.
        tls = {name: query[name] for name in TLS_FILES if name in query}
        checks = query.get("ssl_check_hostname", "true").lower() not in ("false", "no", "0")
        tls |= {"ssl": True, "ssl_check_hostname": checks}
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    options |= {"username": unquote(user) or None, "password": unquote(password) or None, **tls}
    if parts.scheme.endswith("cluster"):
        # ``redis+cluster://user:password@host:port,host:port``.
        nodes = [ClusterNode(host, port) for host, port in hosts(url, 6379)]
        return RedisCluster(startup_nodes=nodes, **options)
    # ``redis+sentinel://user:password@host:port,host:port/service``.
    service, _, database = parts.path.strip("/").partition("/")
    timeouts = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), connect_s)
    own = {**timeouts, "password": query.get("sentinel_password"), **tls}
    sentinel = Sentinel(hosts(url, 26379), sentinel_kwargs=own)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(service, db=int(database or 0), retry=retry, **options)
    return client


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Work that is repeated with jitter until cancelled."""

    every_s: float
    work: Callable[[], Awaitable[object]]
    _log: SparseLog = field(default_factory=lambda: SparseLog(logger), repr=False)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(jittered(self.every_s))
            try:
                await self.work()
            except StoreUnavailable:
                logger.debug("a periodic task waits for Redis")
            except Exception as error:
                # The next run may succeed, and no other task does this work.
                self._log.say(logging.ERROR, "a periodic task broke: %r", error, exc_info=error)


async def end_tasks(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel tasks until they have ended: a client library may lose a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=END_S)


def jittered(duration_s: float) -> float:
    """Return 0.7 to 1.0 times a duration, at random."""
    return duration_s * random.uniform(0.7, 1.0)
