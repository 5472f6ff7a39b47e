"""HEAD wherever GET is, OPTIONS everywhere: what balancers and monitors ask with."""

import asyncio

import pytest

from tests.server.api.conftest import OpenService, Service

pytestmark = pytest.mark.anyio

READ = ("/", "/livez", "/readyz", "/startupz", "/metrics", "/models", "/puzzles", "/jobs", "/docs")
EASY = ".234341221434321"


@pytest.mark.parametrize("path", [*READ, "/openapi.json", "/problems/not_found"])
async def test_head_is_get_without_its_body(shared: Service, path: str) -> None:
    got, head = await shared.client.get(path), await shared.client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(got.content))


async def test_head_says_not_ready_too(open_service: OpenService) -> None:
    async with open_service(has_worker=False) as service:
        response = await service.client.head("/readyz")
        assert (response.status_code, response.content) == (503, b"")
        assert int(response.headers["retry-after"]) >= 1


async def test_head_of_a_stream_ends_while_its_job_goes_on(service: Service) -> None:
    service.worker.is_held = True
    job = (await service.client.post("/jobs", content=EASY)).json()
    async with asyncio.timeout(20.0):
        response = await service.client.head(f"/jobs/{job['id']}/events")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/event-stream")
    shown = (await service.client.get(f"/jobs/{job['id']}")).json()
    assert shown["state"] in ("queued", "running")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((path, "GET, HEAD, OPTIONS") for path in READ if path != "/jobs"),
        ("/jobs", "GET, HEAD, OPTIONS, POST"),
        ("/jobs/x", "DELETE, GET, HEAD, OPTIONS"),
        ("/jobs/x/events", "GET, HEAD, OPTIONS"),
        ("/solve", "OPTIONS, POST"),
        ("/generate", "OPTIONS, POST"),
    ],
)
async def test_options_says_what_a_path_takes(shared: Service, path: str, allowed: str) -> None:
    response = await shared.client.options(path)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == allowed
    refused = await shared.client.request("PATCH", path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_there_is_nothing_at_other_paths(service: Service, method: str) -> None:
    assert (await service.client.request(method, "/nothing")).status_code == 404


async def test_head_of_what_is_only_posted_is_refused(service: Service) -> None:
    response = await service.client.head("/solve")
    assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, POST")
    assert service.worker.jobs == []
