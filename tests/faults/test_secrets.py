"""What processes say of themselves: no keys, no passwords, no puzzles, and no torch in the API."""

import hashlib
import json
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import EASY, Site, end_of

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

SOLVED = "1234341221434321"
PASSWORD = "pass-phrase-of-redis"
TOKEN, THIEF = "token-of-a-client", "token-of-a-thief"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_no_log_holds_a_key_a_password_or_a_puzzle(site: Site, tmp_path: Path) -> None:
    redis = site.redis()
    opened = await site.queue(redis.url)
    await opened.redis.config_set("requirepass", PASSWORD)
    url = redis.url.replace("redis://", f"redis://:{PASSWORD}@")
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    keys = tmp_path / "keys.json"
    entry = {"name": "me", "sha256": digest, "scopes": ["solve", "jobs"]}
    keys.write_text(json.dumps({"keys": [entry]}), "utf-8")
    worker = await site.worker(url, "--work-s", "0.05")
    api, client = await site.api(url, "--keys", str(keys), "--log-level", "debug")
    for token, statuses in ((TOKEN, {200, 202, 422}), (THIEF, {401})):
        for path in ("/solve", "/jobs"):
            for content in (EASY, "1" * 16, f"{EASY}{EASY}"):
                answer = await client.post(path, content=content, headers=bearer(token))
                assert answer.status_code in statuses
                if answer.status_code == 202:
                    # A worker insists on telling what it found, and would not leave before.
                    place = f"{answer.headers['location']}?wait=20"
                    ended = await client.get(place, headers=bearer(token))
                    assert ended.json()["state"] == "done"
    redis.kill()
    refused = await client.post("/jobs", content=EASY, headers=bearer(TOKEN))
    assert refused.status_code == 503
    assert PASSWORD not in refused.text
    loaded = {Path(part.path).name for part in psutil.Process(api.pid).memory_maps()}
    assert any(name.startswith("libc") for name in loaded)
    assert not [name for name in loaded if "torch" in name or "triton" in name]
    for running in (api, worker):
        running.process.terminate()
        await end_of(running)
        assert running.text
        for secret in (PASSWORD, TOKEN, digest, THIEF, EASY, SOLVED):
            assert secret not in running.text


@pytest.mark.parametrize("scheme", ["carrier://me:{}@host/0", "redis+sentinel://me:{}@host:1"])
@pytest.mark.parametrize("command", [("serve",), ("worker", "--model", "sudoku-4x4")])
async def test_a_url_that_cannot_be_used_is_shown_without_its_password(
    site: Site, scheme: str, command: tuple[str, ...]
) -> None:
    url = scheme.format(PASSWORD)
    process = site.park.start("-m", "gram_server.cli", *command, "--store", url)
    assert await end_of(process) == 2
    assert "store" in process.text
    assert PASSWORD not in process.text
