"""Serves the pages at ``/`` and ``/docs``: files read once, under a strict content policy."""

from hashlib import sha256
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
}
INDEX = "index.html"
PREVIEW = "page/preview.png"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    # Browsers revalidate their copies each time: an upgrade shows at once.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageFile(NamedTuple):
    """One file of the page."""

    content: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "PageFile":
        return cls(content, media_type, f'"{sha256(content).hexdigest()[:32]}"')


def page_router(root_path: str) -> APIRouter:
    """Return the routes of both pages; their links are relative, as a proxy may add a prefix."""
    router = APIRouter(include_in_schema=False)
    for path, below, folder in (("/", "/page", "page"), ("/docs", "/docs", "api_docs")):
        _add_files(router, path, below, resources.files("gram_server") / folder, root_path)
    return router


def _add_files(
    router: APIRouter, path: str, below: str, folder: Traversable, root_path: str
) -> None:
    files = {
        entry.name: PageFile.of(entry.read_bytes(), MEDIA_TYPES[suffix])
        for entry in folder.iterdir()
        if (suffix := entry.name.rpartition(".")[2]) in MEDIA_TYPES
    }

    @router.api_route(path, methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return _answer(request, _addressed(files[INDEX], request, root_path))

    @router.api_route(f"{below}/{{name}}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "not found")
        return _answer(request, files[name])


def _addressed(page: PageFile, request: Request, root_path: str) -> PageFile:
    """Give the picture of a page its whole address: sites that show links read no relative one."""
    host = request.headers.get("host")
    if not host or PREVIEW.encode() not in page.content:
        return page
    address = escape(f"{request.scope['scheme']}://{host}{root_path}/{PREVIEW}")
    return PageFile.of(page.content.replace(PREVIEW.encode(), address.encode()), page.media_type)


def _answer(request: Request, file: PageFile) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, 200, headers, file.media_type)
