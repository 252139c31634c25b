"""The files of the page, as a browser asks for them."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from graphs.http import errors, page
from tests.graphs.http.client import send

app = FastAPI()
errors.install(app)
page.install(app)

TYPES = {
    "/": "text/html",
    "/web/style.css": "text/css",
    "/web/main.js": "text/javascript",
    "/web/icon.svg": "image/svg",
}


@pytest.mark.parametrize(("path", "kind"), TYPES.items())
def test_a_file_has_its_type_and_may_load_only_from_the_service(path: str, kind: str) -> None:
    response = send(app, path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in response.headers["content-security-policy"]


def test_a_browser_is_sent_a_file_once() -> None:
    first = send(app, "/web/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = send(app, "/web/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_head_has_the_headers_alone() -> None:
    response = send(app, "/", method="HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) == len(send(app, "/").content)


@pytest.mark.parametrize("path", ["/web/none.js", "/web/..%2Fserve_config.yaml", "/web/"])
def test_other_files_are_not_found(path: str) -> None:
    response = send(app, path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_every_path_of_the_page_is_named_for_those_without_a_key() -> None:
    assert {"/", "/web/index.html", "/web/session.js", "/web/player-worklet.js"} <= page.PATHS
    assert {send(app, path).status_code for path in page.PATHS} == {200}


def test_no_file_names_another_host() -> None:
    found = [
        (path, re.findall(r"https?://(?!www\.w3\.org/2000/svg)[\w.]+", send(app, path).text)) for path in page.PATHS
    ]
    assert [entry for entry in found if entry[1]] == []
