"""
`/console`: the page that operators see the hub in, and its files, for whoever asks; what it shows is asked of `/admin`.

The files stand below a digest of them all, so that a browser may keep them for ever and never mixes two releases.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hub.errors import Refused
from subscriptions.codes import IssueCode

PAGE = "index.html"

#: What a browser may do with the page: run and show what comes from here, and ask only here.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_SAFE = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Console:
    """
    The page and its files.

    held: By path, but for the page.
    """

    page: bytes
    held: Mapping[str, bytes]
    digest: str

    @classmethod
    def read(cls) -> "Console":
        """As they are in the package."""
        found = dict(sorted(_files(files("hub") / "console")))
        digest = sha256(b"".join(sha256(path.encode() + b"\0" + body).digest() for path, body in found.items()))
        name = digest.hexdigest()[:32]
        page = found.pop(PAGE).replace(b"{here}", name.encode())
        modules = "".join(f'<link rel="modulepreload" href="{name}/{path}">' for path in found if path.endswith(".js"))
        return cls(page.replace(b"{modules}", modules.encode()), found, name)

    def routes(self) -> APIRouter:
        """The same for each tenant: all links are relative."""
        return APIRouter(
            routes=[
                Route("/", self.root, include_in_schema=False),
                Route("/console", self.entrance, include_in_schema=False),
                Route("/console/", self.first, include_in_schema=False),
                Route("/console/{digest}/{file:path}", self.file, include_in_schema=False),
            ]
        )

    async def root(self, _: Request) -> Response:
        """Who has a hub's URL, and nothing behind it, wants to see it."""
        return RedirectResponse("console/", 307)

    async def entrance(self, _: Request) -> Response:
        """Where its relative links lead on from."""
        return RedirectResponse("console/", 308)

    async def first(self, request: Request) -> Response:
        """The page. It is asked for each time, and sent when it is another one."""
        tag = f'"{self.digest}"'
        headers = {**_SAFE, "Cache-Control": "no-cache", "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.page, media_type=_MEDIA_TYPES["html"], headers=headers)

    async def file(self, request: Request) -> Response:
        """A file, of the release that runs."""
        path = request.path_params["file"]
        if request.path_params["digest"] != self.digest or path not in self.held:
            raise Refused.because(404, IssueCode.NOT_FOUND, f"There is nothing at {request.url.path[:200]}.")
        media_type = _MEDIA_TYPES[path.rpartition(".")[2]]
        return Response(self.held[path], media_type=media_type, headers={**_SAFE, "Cache-Control": _FOREVER})


def _files(folder: Traversable, below: str = "") -> Iterator[tuple[str, bytes]]:
    """What a browser asks for: path and body."""
    for each in folder.iterdir():
        if each.is_dir():
            yield from _files(each, f"{below}{each.name}/")
        elif each.name.rpartition(".")[2] in _MEDIA_TYPES:
            yield f"{below}{each.name}", each.read_bytes()
