"""The dependencies in pyproject.toml are those that the code imports, and requirements.lock contains them."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SERVICE = ("deployments", "graphs", "models", "scripts", "talk")
FOLDERS = (*SERVICE, "bench", "pocket", "tests")

# Scripts that run in environments of their own.
OTHER_ENVIRONMENTS = {ROOT / "tests" / "stock" / name for name in ("agents_python.py", "pipecat_service.py")}

# Modules whose package has another name.
PACKAGES = {
    "PIL": "pillow",
    "TTS": "coqui-tts",
    "grafana_foundation_sdk": "grafana-foundation-sdk",
    "grpc": "grpcio",
    "llama_cpp": "llama-cpp-python",
    "yaml": "pyyaml",
}
# Packages that the service needs without importing them.
NOT_IMPORTED = {
    "python-multipart": "Starlette parses forms with it",
    "soundfile": "Coqui TTS reads and writes audio with it",
    "torchaudio": "Coqui TTS needs it",
    "torchcodec": "Coqui TTS needs it",
    "transformers": "Coqui TTS needs it",
}


def name_of(requirement: str) -> str:
    """Return the name of a requirement, without extras and version."""
    return re.split(r"[\[=<>~! ;]", requirement, maxsplit=1)[0].lower()


def names(requirements: Iterable[str]) -> set[str]:
    return {name_of(requirement) for requirement in requirements}


DEPENDENCIES = names(PROJECT["project"]["dependencies"])
OPTIONAL = names(name for group in PROJECT["project"]["optional-dependencies"].values() for name in group)
DEVELOPMENT = names(PROJECT["dependency-groups"]["dev"])


def imported(folder: str) -> dict[str, Path]:
    """Return the packages of other projects that a folder imports, each with a file that imports it."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "node_modules" in path.parts or path in OTHER_ENVIRONMENTS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for module in {module.partition(".")[0] for module in modules}:
                if module not in sys.stdlib_module_names and module not in FOLDERS:
                    found[PACKAGES.get(module, module.replace("_", "-"))] = path.relative_to(ROOT)
    return found


@pytest.mark.parametrize("folder", SERVICE)
def test_the_service_declares_what_it_imports(folder: str) -> None:
    assert {name: path for name, path in imported(folder).items() if name not in DEPENDENCIES | OPTIONAL} == {}


@pytest.mark.parametrize("folder", ["bench", "pocket", "tests"])
def test_the_other_folders_import_declared_packages(folder: str) -> None:
    declared = DEPENDENCIES | DEVELOPMENT
    assert {name: path for name, path in imported(folder).items() if name not in declared} == {}


def test_the_service_needs_what_it_declares() -> None:
    used = {name for folder in SERVICE for name in imported(folder)}
    assert DEPENDENCIES - used == NOT_IMPORTED.keys()


def test_optional_dependencies_are_installed_for_the_tests() -> None:
    assert OPTIONAL <= DEPENDENCIES | DEVELOPMENT


def test_the_lock_has_every_declared_package() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    assert names(declared) - locked.keys() == set()
    pinned = dict(requirement.split("==") for requirement in declared if "==" in requirement)
    assert {name_of(name): version for name, version in pinned.items()}.items() <= locked.items()
