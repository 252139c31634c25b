"""Who may import whom. The rooms are described in docs/design.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "ctranslate2", "faster_whisper", "llama_cpp", "TTS", "transformers", "mlc_llm")

MODULES = sorted(path.relative_to(ROOT) for room in ("deployments", "graphs") for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "deployments"], ids=str)
def test_deployments_never_import_the_graph(path: Path) -> None:
    assert not [name for name in imported(path) if within(name, "graphs")]


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "graphs"], ids=str)
def test_the_graph_never_imports_engines_or_pocket(path: Path) -> None:
    forbidden = ("deployments.engines", "pocket")
    assert not [name for name in imported(path) for room in forbidden if within(name, room)]


SERVE_CLASSES = ("deployments.asr", "deployments.llm", "deployments.tts")


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "graphs" and p.name not in ("app.py",)], ids=str)
def test_only_app_names_the_deployment_classes(path: Path) -> None:
    assert not [name for name in imported(path) for room in SERVE_CLASSES if within(name, room)]


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[:2] == ("graphs", "wire")], ids=str)
def test_the_wire_knows_no_run_and_no_gateway(path: Path) -> None:
    forbidden = ("graphs.pipeline.run", "graphs.pipeline.stages", "graphs.gateway", "graphs.app", "ray")
    assert not [name for name in imported(path) for room in forbidden if within(name, room)]


@pytest.mark.parametrize("name", ["plan", "sentences", "turn", "events"])
def test_pure_modules_know_neither_ray_nor_http(name: str) -> None:
    forbidden = ("ray", "starlette", "fastapi", "asyncio")
    assert not [i for i in imported(Path("graphs") / f"{name}.py") for room in forbidden if within(i, room)]


def test_importing_the_application_loads_no_engine() -> None:
    code = f"import sys, graphs.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
