"""What processes say of themselves: no keys, no passwords, no puzzles, and no torch in the API."""

import asyncio
import hashlib
import json
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import StartRedis
from tests.faults.conftest import OpenQueue, Park

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

EASY = ".234341221434321"
SOLVED = "1234341221434321"
PASSWORD = "pass-phrase-of-redis"
TOKEN = "token-of-a-client"


async def test_no_log_holds_a_key_a_password_or_a_puzzle(
    start_redis: StartRedis, open_queue: OpenQueue, park: Park, tmp_path: Path
) -> None:
    redis = start_redis()
    opened = await open_queue(redis.url)
    await opened.redis.config_set("requirepass", PASSWORD)
    url = redis.url.replace("redis://", f"redis://:{PASSWORD}@")
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    keys = tmp_path / "keys.json"
    entry = {"name": "me", "sha256": digest, "scopes": ["solve", "jobs"]}
    keys.write_text(json.dumps({"keys": [entry]}), "utf-8")
    api = park.start_api(url, "--keys", str(keys), "--log-level", "debug")
    park.worker(url, "--work-s", "0.05")
    await asyncio.to_thread(park.wait_api, api)
    async with httpx.AsyncClient(base_url=api.url, timeout=20.0) as client:
        for token, statuses in ((TOKEN, {200, 202, 422}), ("token-of-a-thief", {401})):
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("/solve", "/jobs"):
                for content in (EASY, "1" * 16, f"{EASY}{EASY}"):
                    answer = await client.post(path, content=content, headers=headers)
                    assert answer.status_code in statuses
                    if answer.status_code == 202:
                        # A worker insists on telling what it found, and would not leave before.
                        place = f"{answer.headers['location']}?wait=20"
                        ended = await client.get(place, headers=headers)
                        assert ended.json()["state"] == "done"
        redis.kill()
        refused = await client.post("/jobs", content=EASY, headers=headers | bearer())
        assert refused.status_code == 503
        assert PASSWORD not in refused.text
    loaded = {Path(part.path).name for part in psutil.Process(api.pid).memory_maps()}
    assert any(name.startswith("libc") for name in loaded)
    assert not [name for name in loaded if "torch" in name or "triton" in name]
    worker = park.processes[-1]
    for process in (api, worker):
        process.terminate()
        await asyncio.to_thread(process.handle.wait, 30.0)
        log = "".join(process.lines)
        assert log
        for secret in (PASSWORD, TOKEN, digest, "token-of-a-thief", EASY, SOLVED):
            assert secret not in log


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


async def test_a_url_that_cannot_be_used_is_shown_without_its_password(park: Park) -> None:
    for url in (f"carrier://me:{PASSWORD}@host/0", f"redis+sentinel://me:{PASSWORD}@host:1"):
        for start in (park.start_api, lambda one: park.start("-m", *WORKER, "--store", one)):
            process = start(url)
            assert await asyncio.to_thread(process.handle.wait, 60.0) == 2
            said = "".join(process.lines)
            assert "store" in said
            assert PASSWORD not in said


WORKER = ("gram_server.cli", "worker", "--model", "sudoku-4x4")
