"""What a signal to a server logs: lines of the server, not of the request it came upon."""

import asyncio
import io
import json
import logging
import signal
from collections.abc import Iterator

import pytest
import uvicorn

from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.logs import JsonFormatter, logged_with
from gram_server.server import DrainingServer
from gram_server.settings import Settings


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("gram_server.server")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.slow
def test_the_line_of_a_signal_has_no_request(log: io.StringIO) -> None:
    async def scenario() -> None:
        settings = Settings()
        app = create_app(settings, store=MemoryStore(settings.queue))
        config = uvicorn.Config(app, port=0, log_config=None)
        server = DrainingServer(config, app.state.app_state, None, metrics_port=None)
        serving = asyncio.create_task(server._serve([]))
        async with asyncio.timeout(30.0):
            # It has no event of its own for this.
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            with logged_with(request_id="of-a-request"):
                server.handle_exit(signal.SIGTERM, None)
            await serving

    asyncio.run(scenario())
    (line,) = [json.loads(text) for text in log.getvalue().splitlines()]
    assert line["message"].startswith("SIGTERM: draining")
    assert "request_id" not in line
