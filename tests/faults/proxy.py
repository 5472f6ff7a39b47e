"""A TCP proxy in front of a Redis, which can be cut or slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Proxy:
    """While it is not whole, bytes go nowhere, and no connection hears of it."""

    target_port: int
    port: int = 0
    delay_s: float | None = 0.0
    """What answers take; without a time they never come."""
    is_whole: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        ways = ((reader, far_writer, False), (far_reader, writer, True))
        for source, sink, is_answer in ways:
            task = asyncio.create_task(self._pump(source, sink, is_answer=is_answer))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        try:
            while data := await source.read(65536):
                await self.is_whole.wait()
                if is_answer:
                    if self.delay_s is None:
                        continue
                    await asyncio.sleep(self.delay_s)
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """Stand in front of a Redis."""
    proxy = Proxy(urlsplit(url).port or 0)
    proxy.is_whole.set()
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()
    for task in list(proxy.tasks):
        task.cancel()
    await asyncio.gather(*proxy.tasks, return_exceptions=True)
