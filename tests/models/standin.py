"""A stand-in on the loopback for the Python registry, the npm registry and the model hub."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

CHUNK = 16 << 10


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class StandIn:
    """Serves ``files`` by path, with Range requests, and records every request as (path, Range)."""

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    hold_after: dict[str, int] = field(default_factory=dict)
    """Bytes of a path's response after which the rest waits for ``release``."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """Bytes of a path's next response after which the connection is closed."""
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """Statuses of a path's next responses, in place of its file; the last one remains."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Paths that are answered with a redirect, and where to."""
    appended: dict[str, bytes] = field(default_factory=dict)
    """Bytes that follow a path's response, beyond its Content-Length."""
    without_length: set[str] = field(default_factory=set)
    """Paths whose responses have no Content-Length and end with the connection."""
    silent: dict[str, int] = field(default_factory=dict)
    """How many of a path's next responses never come."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Other paths of a path: those of a branch."""
    with_ranges: bool = True
    shift: int = 0
    """How far from the wanted byte a response to a Range begins."""

    def __post_init__(self) -> None:
        stand_in = self
        self._released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in._respond(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def release(self) -> None:
        """Let all responses continue, and hold none from now on."""
        self.hold_after.clear()
        self.silent.clear()
        self._released.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def add_python_package(self, name: str, version: str, members: dict[str, bytes]) -> None:
        """Publish a wheel with ``members`` on a page of PEP 503."""
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as wheel:
            for path, content in members.items():
                wheel.writestr(path, content)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        file = f"{module}-{version}-py3-none-any.whl"
        self.files[f"/wheels/{file}"] = written.getvalue()
        link = f'<a href="/wheels/{file}#sha256={sha256(written.getvalue())}">{file}</a>'
        self.files[f"/simple/{name}/"] = f"<!DOCTYPE html><html><body>{link}</body></html>".encode()
        self.headers[f"/simple/{name}/"] = {"Content-Type": "text/html"}

    def add_npm_package(self, name: str, version: str, members: dict[str, bytes]) -> None:
        """Publish an archive with ``members`` and the document of its package."""
        written = io.BytesIO()
        described = json.dumps({"name": name, "version": version, "scripts": {"prepack": "exit 1"}}).encode()
        with tarfile.open(fileobj=written, mode="w:gz") as archive:
            for path, content in ({"package/package.json": described} | members).items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        content = written.getvalue()
        path = f"/npm/{name}/-/{name}-{version}.tgz"
        self.files[path] = content
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
        dist = {"tarball": self.url + path, "integrity": integrity}
        versions = {version: {"name": name, "version": version, "dist": dist}}
        document = {"name": name, "dist-tags": {"latest": version}, "versions": versions}
        self.files[f"/npm/{name}"] = json.dumps(document).encode()
        self.headers[f"/npm/{name}"] = {"Content-Type": "application/json"}

    def add_hub_repository(self, name: str, revision: str, files: dict[str, bytes], stated: str | None = None) -> None:
        """Publish files, each with its SHA-256 (or ``stated``), and the list of them."""
        for path, content in files.items():
            address = f"/hub/{name}/resolve/{revision}/{path}"
            self.files[address] = content
            self.aliases[f"/hub/{name}/resolve/main/{path}"] = address
            tag = f'"{stated or sha256(content)}"'
            self.headers[address] = {"X-Linked-Etag": tag, "ETag": tag, "X-Repo-Commit": revision}
        tree = [
            {
                "type": "file",
                "path": path,
                "size": len(content),
                "oid": "0" * 40,
                "lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 100},
            }
            for path, content in files.items()
        ]
        described = {"id": name, "sha": revision, "siblings": [{"rfilename": path} for path in files]}
        for address, answer in {f"tree/{revision}": tree, "revision/main": described}.items():
            self.files[f"/hub/api/models/{name}/{address}"] = json.dumps(answer).encode()
            self.headers[f"/hub/api/models/{name}/{address}"] = {"Content-Type": "application/json"}

    def count(self, part: str) -> int:
        """Return how many requests had ``part`` in their path."""
        return sum(part in path for path, _ in self.requests)

    def ranges(self, part: str) -> list[str]:
        """Return the Range headers of the requests with ``part`` in their path; "" for one without."""
        return [wanted for path, wanted in self.requests if part in path]

    def _respond(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        path = self.aliases.get(path, path)
        wanted = request.headers.get("Range", "")
        self.requests.append((path, wanted))
        if self.silent.get(path, 0):
            self.silent[path] -= 1
            self._released.wait(60)
            request.close_connection = True
            return
        statuses = self.statuses.get(path, [])
        if statuses and (status := statuses.pop(0) if len(statuses) > 1 else statuses[0]) != 200:
            request.send_response(status)
            for name, value in (self.headers.get(path, {}) | {"Content-Length": "0"}).items():
                request.send_header(name, value)
            request.end_headers()
            return
        if path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.url + self.redirects[path])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        content = self.files.get(path)
        if content is None:
            self._not_found(request, path)
            return
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and self.with_ranges else 0
        if start and start >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start += self.shift if start else 0
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        headers = {"Content-Type": "application/octet-stream"} | self.headers.get(path, {})
        if path in self.without_length:
            request.close_connection = True
        else:
            headers["Content-Length"] = str(len(content) - start)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        sent = content[start:] + self.appended.get(path, b"")
        self._send(request, sent, self.cut_after.pop(path, None), self.hold_after.get(path))

    def _not_found(self, request: BaseHTTPRequestHandler, path: str) -> None:
        request.send_response(404)
        if path.startswith("/hub/"):  # where the hub says what it does not have
            repository = path.removeprefix("/hub/").removeprefix("api/models/").split("/")[:2]
            known = f"/hub/api/models/{'/'.join(repository)}/revision/main" in self.files
            request.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, limit: int | None, hold: int | None) -> None:
        step = min(CHUNK, hold or CHUNK)
        for at in range(0, len(content), step):
            part = content[at : at + step]
            if limit is not None and at + len(part) > limit:
                request.wfile.write(part[: limit - at])
                request.close_connection = True
                return
            try:
                request.wfile.write(part)
                request.wfile.flush()
            except OSError:  # the client was killed
                return
            if hold is not None and at + len(part) >= hold:
                self._released.wait(60)


def address_of_file(repository: str, revision: str, path: str) -> str:
    """Return the path under which the stand-in serves a file of the hub."""
    return str(PurePosixPath("/hub") / repository / "resolve" / revision / path)
