"""The image: what it contains, who runs in it, and what is kept out of the build. No image is built."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)).splitlines()
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line.strip()]
FINAL = INSTRUCTIONS[max(i for i, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
COMPILERS = ("build-essential", "gcc", "g++", "cmake", "python3-dev")


def of(name: str, instructions: list[list[str]] = FINAL) -> list[str]:
    """Return the arguments of all instructions of one kind."""
    return [arguments for kind, arguments in instructions if kind == name]


def test_the_base_of_both_stages_is_an_argument_with_an_exact_version() -> None:
    arguments = dict(line.split("=", 1) for line in of("ARG", INSTRUCTIONS))
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", arguments["BASE"])
    assert arguments["BUILD_BASE"] == "${BASE}"
    assert of("FROM", INSTRUCTIONS) == ["${BUILD_BASE} AS build", "${BASE}"]


def test_the_final_stage_has_no_compilers() -> None:
    installed = " ".join(of("RUN")).split()
    assert not set(COMPILERS) & set(installed)
    assert "--from=build /opt/parley/.venv .venv" in of("COPY")


def test_the_service_does_not_run_as_root() -> None:
    (user,) = of("USER")
    assert user not in ("root", "0")
    names = [name for name, _ in FINAL]
    assert names.index("USER") < names.index("CMD")
    assert "RUN" not in names[names.index("USER") :]


def test_the_health_check_requests_readiness() -> None:
    (check,) = of("HEALTHCHECK")
    assert "http://127.0.0.1:8000/health" in check


def test_ray_requires_a_token() -> None:
    (environment,) = of("ENV")
    assert "RAY_AUTH_MODE=token" in environment.split()


def is_ignored(path: str) -> bool:
    """Return whether .dockerignore keeps a file out: the last pattern that matches it or a folder above it decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        above = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        if any(_matches(name, pattern) for name in above):
            ignored = not line.startswith("!")
    return ignored


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern[3:]) for part in name.split("/"))
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch, parts, patterns))


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".run/ray_token",
        ".run/serve_config.yaml",
        ".venv/bin/python",
        "keys",
        "api_keys.txt",
        "configs/api_keys",
        "configs/tls/server.key",
        "configs/server.pem",
        ".env",
        "scripts/.env.local",
        "id_rsa",
        "graphs/__pycache__/app.cpython-311.pyc",
        "tests/data/question.wav",
    ],
)
def test_keys_and_local_files_are_kept_out(path: str) -> None:
    assert is_ignored(path)


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        "requirements.lock",
        "pyproject.toml",
        "serve_config.yaml",
        "web/index.html",
        "configs/autoscaling.yaml",
        "scripts/preflight.sh",
        "scripts/serve.py",
        "deployments/engines/llama/engine.py",
        "graphs/http/docs.html",
        "pocket/asr/weights/model.bin",
        "pocket/tts/weights/acoustic.pth",
    ],
)
def test_what_the_service_needs_is_copied(path: str) -> None:
    assert (ROOT / path).is_file()
    assert not is_ignored(path)


def test_folders_are_let_in_by_their_names() -> None:
    """Buildah and Podman do not look into a folder that is kept out for what a wildcard in its path lets in."""
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [path for path in let_in if "*" in path.rpartition("/")[0]] == []
