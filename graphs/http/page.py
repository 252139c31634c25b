"""The page that a person talks to: the files of ``web/``, at ``/`` and ``/web/``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response

from deployments.errors import NotFound

FOLDER = Path(__file__).resolve().parents[2] / "web"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Everything comes from the service itself. Pictures that the page made of files or of the camera are data URLs.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # the browser asks each time, and gets 304 for what it has
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self), camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        content = path.read_bytes()
        return cls(content, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


_FILES = {path.name: _File.read(path) for path in sorted(FOLDER.iterdir())}

# What a browser loads before it can ask for an API key.
PATHS = frozenset({"/", *(f"/web/{name}" for name in _FILES)})


def install(app: FastAPI) -> None:
    """Add the routes of the page to ``app``."""
    for method in (app.get, app.head):
        method("/", include_in_schema=False)(_page)
        method("/web/{name}", include_in_schema=False)(_file)


async def _page(request: Request) -> Response:
    return _response(request, "index.html")


async def _file(request: Request, name: str) -> Response:
    return _response(request, name)


def _response(request: Request, name: str) -> Response:
    """Return a file, or 304 if the client has it. Raise ``NotFound``."""
    file = _FILES.get(name)
    if file is None:
        raise NotFound(f"The page has no file '{name[:100]}'.")
    headers = {**HEADERS, "ETag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
