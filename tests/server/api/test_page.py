"""The files of the page, as a browser gets them."""

import re
from typing import Any

import pytest

from tests.server.api.conftest import Service

pytestmark = pytest.mark.anyio

FILE = "/page/app.js"


async def get_all(service: Service) -> dict[str, Any]:
    """Return the responses to the page and to every file it names."""
    index = await service.client.get("/")
    names = re.findall(r'(?:href|src)="(page/[a-z_]+\.[a-z]+)"', index.text)
    return {"/": index} | {f"/{name}": await service.client.get(f"/{name}") for name in names}


async def test_the_page_and_all_it_names_are_there(service: Service) -> None:
    responses = await get_all(service)
    assert len(responses) > 20
    assert {response.status_code for response in responses.values()} == {200}
    kinds = {
        path.rpartition(".")[2]: got.headers["content-type"] for path, got in responses.items()
    }
    assert kinds.pop("/") == "text/html; charset=utf-8"
    assert kinds == {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }


async def test_every_module_that_is_imported_is_loaded_ahead(service: Service) -> None:
    responses = await get_all(service)
    imported = {
        f"/page/{name}"
        for response in responses.values()
        for name in re.findall(r'^(?:import|\}).* from "\./([a-z_]+\.js)"', response.text, re.M)
    }
    assert imported
    assert imported | {FILE, "/page/theme.js"} == {
        path for path in responses if path.endswith("js")
    }


async def test_nothing_in_the_page_names_another_origin_or_needs_a_looser_policy(
    service: Service,
) -> None:
    for path, response in (await get_all(service)).items():
        text = response.text.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*$|`\$\{.*", "", text, flags=re.M), path
        assert not re.search(r"\son[a-z]+=|\sstyle=|innerHTML|insertAdjacentHTML|\beval\(", text)
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", FILE])
async def test_a_file_is_sent_once_and_then_only_confirmed(service: Service, path: str) -> None:
    first = await service.client.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = await service.client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    changed = await service.client.get(path, headers={"If-None-Match": '"other"'})
    assert (changed.status_code, changed.content) == (200, first.content)


async def test_files_of_different_content_have_different_tags(service: Service) -> None:
    responses = (await get_all(service)).values()
    assert len({response.headers["etag"] for response in responses}) == len(responses)


async def test_head_has_the_headers_alone(service: Service) -> None:
    response = await service.client.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 1000


@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/page/none.js", "/page/../app.py", "/page/%2e%2e%2fapp.py"]
)
async def test_there_is_nothing_else_below_the_page(service: Service, path: str) -> None:
    response = await service.client.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


async def test_the_page_only_answers_to_reading(service: Service) -> None:
    response = await service.client.post("/")
    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert "GET" in response.headers["allow"]
