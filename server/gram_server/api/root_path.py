"""Takes off the path under which a proxy shows the server, where the proxy leaves it on."""

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Lets every other part see the paths that the server has by itself."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            path = scope["path"]
            if path == self._path or path.startswith(f"{self._path}/"):
                scope["path"] = path.removeprefix(self._path) or "/"
        await self._app(scope, receive, send)
