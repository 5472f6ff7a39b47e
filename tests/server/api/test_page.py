"""The files of the page, as a browser gets them."""

import re
import struct
from typing import Any

import pytest

from gram_server.settings import HttpConfig
from tests.server.api.conftest import Service, opened

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
        # A link that people may follow; nothing is loaded from there.
        text = text.replace('<a href="https://arxiv.org/abs/2605.19376">', "")
        # The server's own, for sites that show links.
        text = text.replace(f'content="{service.client.base_url}', "")
        assert "//" not in re.sub(r"^\s*//.*$|`\$\{.*", "", text, flags=re.M), path
        assert not re.search(r"\son[a-z]+=|\sstyle=|innerHTML|insertAdjacentHTML|\beval\(", text)
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_recorded_run_is_small_and_the_steps_of_one_solution(service: Service) -> None:
    response = await service.client.get("/page/recording.json")
    assert response.headers["content-type"] == "application/json"
    assert len(response.content) < 60_000
    recorded = response.json()
    [solution] = recorded["result"]["solutions"]
    solved = -(recorded["noiseless"]["state"] == "solved")
    for trajectory in [recorded["noiseless"], *recorded["trajectories"]]:
        cells = list(trajectory["start"])
        for change in trajectory["changes"]:
            for cell, digit in zip(change[::2], change[1::2], strict=True):
                cells[ord(cell) - 35] = digit
        assert all(
            given in (".", cell) for given, cell in zip(recorded["grid"], cells, strict=True)
        )
        assert ("".join(cells) == solution["answer"]) == (trajectory["state"] == "solved")
        solved += trajectory["state"] == "solved"
    assert solved == recorded["result"]["valid_trajectories"] == solution["votes"] > 1


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


@pytest.mark.parametrize("root_path", ["", "/gram"])
@pytest.mark.parametrize("origin", ["http://test", "https://puzzles.example:8443"])
async def test_sites_that_show_links_find_the_picture(root_path: str, origin: str) -> None:
    async with opened(url=origin, http=HttpConfig(root_path=root_path)) as service:
        index = await service.client.get(f"{root_path}/")
        tags = dict(re.findall(r'<meta property="og:([a-z:]+)" content="([^"]+)">', index.text))
        assert tags["image"] == f"{origin}{root_path}/page/preview.png"
        picture = await service.client.get(tags["image"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert len(picture.content) < 300_000
    width, height = struct.unpack(">II", picture.content[16:24])
    assert (str(width), str(height)) == (tags["image:width"], tags["image:height"])


@pytest.mark.parametrize("host", ['x"><script>alert(1)</script>', "[::1", "", "ä", "a b:c:d"])
async def test_a_host_that_is_none_is_only_text(service: Service, host: str) -> None:
    response = await service.client.get("/", headers={b"host": host.encode()})
    assert response.status_code == 200
    assert "<script>alert" not in response.text
    [content] = re.findall(r'<meta property="og:image" content="([^"]*)">', response.text)
    assert content.endswith("page/preview.png")


@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/page/none.js", "/page/../app.py", "/page/%2e%2e%2fapp.py"]
)
async def test_there_is_nothing_else_below_the_page(service: Service, path: str) -> None:
    response = await service.client.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
