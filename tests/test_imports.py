"""The import rules between packages. docs/design.md describes the packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from deployments.engines.registry import CHAT_MODELS, RECOGNIZERS, SYNTHESIZERS

ROOT = Path(__file__).resolve().parent.parent
ENGINES = {entry.engine.split(".")[0] for entry in (*RECOGNIZERS, *CHAT_MODELS, *SYNTHESIZERS)}
SHARED_ENGINE_MODULES = {"base", "registry", "pool", "threads", "stop", "deltas", "history"}


def modules(*folders: str) -> list[Path]:
    """All modules in ``folders``, as paths from the root."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def forbidden_imports(path: Path, packages: Iterable[str]) -> list[str]:
    """The imports of a file that are one of ``packages`` or within one."""
    return [
        name for name in imported(path) for package in packages if name == package or name.startswith(package + ".")
    ]


@pytest.mark.parametrize("path", modules("deployments"), ids=str)
def test_deployments_do_not_import_graphs(path: Path) -> None:
    assert forbidden_imports(path, ["graphs"]) == []


@pytest.mark.parametrize("path", modules("deployments", "graphs"), ids=str)
def test_the_service_imports_of_models_only_the_cache(path: Path) -> None:
    found = {name for name in forbidden_imports(path, ["models"]) if not name.startswith("models.cache")}
    assert found == set()


@pytest.mark.parametrize("path", modules("models"), ids=str)
def test_models_import_no_other_package_of_parley(path: Path) -> None:
    assert forbidden_imports(path, ["deployments", "graphs", "scripts", "pocket", "bench", "tests"]) == []


def test_the_cache_imports_no_code_that_downloads() -> None:
    code = (
        "import sys, models.cache; "
        "print([n for n in sys.modules if n.split('.')[0] in ('httpx', 'huggingface_hub', 'subprocess', 'tqdm')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", modules("deployments", "graphs", "scripts"), ids=str)
def test_the_service_does_not_import_pocket_or_bench(path: Path) -> None:
    assert forbidden_imports(path, ["pocket", "bench", "tests"]) == []


@pytest.mark.parametrize("path", modules("graphs"), ids=str)
def test_graphs_import_engines_only_as_the_registry_of_settings(path: Path) -> None:
    found = forbidden_imports(path, ["deployments.engines"])
    if path == Path("graphs/settings.py"):
        assert {name.rpartition(".")[0] for name in found} <= {"deployments.engines", "deployments.engines.registry"}
    else:
        assert found == []


@pytest.mark.parametrize("path", [p for p in modules("graphs") if p != Path("graphs/app.py")], ids=str)
def test_only_app_imports_the_deployment_classes(path: Path) -> None:
    assert forbidden_imports(path, ["deployments.asr", "deployments.llm", "deployments.tts"]) == []


@pytest.mark.parametrize("path", modules("graphs/http"), ids=str)
def test_http_imports_neither_run_nor_stages_nor_ray(path: Path) -> None:
    packages = ["graphs.pipeline.run", "graphs.pipeline.stages", "graphs.gateway", "graphs.app", "ray"]
    assert forbidden_imports(path, packages) == []


@pytest.mark.parametrize("path", modules("graphs/pipeline"), ids=str)
def test_the_pipeline_does_not_import_http(path: Path) -> None:
    assert forbidden_imports(path, ["graphs.http", "graphs.gateway", "graphs.app", "starlette", "fastapi"]) == []


@pytest.mark.parametrize("name", ["plan", "sentences", "turn", "events"])
def test_pure_modules_import_neither_ray_nor_asyncio(name: str) -> None:
    assert forbidden_imports(Path("graphs/pipeline") / f"{name}.py", ["ray", "asyncio"]) == []


@pytest.mark.parametrize("path", modules("graphs/http/media"), ids=str)
def test_media_do_not_import_the_rest_of_http(path: Path) -> None:
    rest = ["starlette", "fastapi", "graphs.pipeline", "graphs.http.chat", "graphs.http.openai", "graphs.http.body"]
    assert forbidden_imports(path, rest) == []


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_an_engine_does_not_import_another_engine(engine: str) -> None:
    others = [f"deployments.engines.{other}" for other in ENGINES - {engine}]
    for path in modules(f"deployments/engines/{engine}"):
        assert forbidden_imports(path, [*others, "deployments.engines.registry"]) == []


def test_every_folder_of_an_engine_is_in_the_registry() -> None:
    folders = {path.parent.name for path in (ROOT / "deployments/engines").glob("*/__init__.py")}
    assert folders == ENGINES
    assert {path.stem for path in (ROOT / "deployments/engines").glob("*.py")} == {"__init__", *SHARED_ENGINE_MODULES}


def test_importing_the_application_imports_no_engine() -> None:
    code = (
        "import sys, graphs.app; print([name for name in sys.modules if name.endswith('.engine') or name == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"
