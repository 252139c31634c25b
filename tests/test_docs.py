"""The documentation agrees with the code: generated pages, links, and the names of modules and functions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DESIGN = (ROOT / "docs" / "design.md").read_text()
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def section(title: str) -> str:
    """Return the section of docs/design.md with this title."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", DESIGN, re.MULTILINE | re.DOTALL)
    return found


def defines(path: Path, name: str) -> bool:
    """Return whether a module defines a function ``name``, or a method ``Class.name``."""
    scope: ast.AST = ast.parse(path.read_text())
    for part in name.split("."):
        found = [
            node
            for node in ast.iter_child_nodes(scope)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == part
        ]
        if not found:
            return False
        scope = found[-1]
    return not isinstance(scope, ast.ClassDef)


def module_and_function(name: str) -> tuple[Path, str]:
    """Return the file of the longest prefix of ``name`` that is a module, and the rest of ``name``."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        path = ROOT.joinpath(*parts[:end]).with_suffix(".py")
        if path.is_file():
            return path, ".".join(parts[end:])
    raise AssertionError(f"{name}: no such module")


PATH_OF_A_CHAT = re.findall(r"^\d+\. `([\w.]+)`", section("Path of a chat request"), re.MULTILINE)


@pytest.mark.parametrize("script", ["write_configuration.py", "write_models.py"])
def test_a_generated_page_is_up_to_date(script: str) -> None:
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_path_of_a_chat_request_has_at_most_ten_functions() -> None:
    assert 1 <= len(PATH_OF_A_CHAT) <= 10


@pytest.mark.parametrize("name", PATH_OF_A_CHAT)
def test_a_function_in_the_path_of_a_chat_request_exists(name: str) -> None:
    path, function = module_and_function(name)
    assert defines(path, function)


def test_the_design_lists_every_module() -> None:
    listed = {
        f"{folder}/{name}"
        for folder, table in re.findall(r"^### ([\w/]+)\n(.*?)(?=^##)", DESIGN, re.MULTILINE | re.DOTALL)
        for name in re.findall(r"^\| `(\w+\.py)` \|", table, re.MULTILINE)
    }
    modules = {
        str(path.relative_to(ROOT))
        for folder in ("graphs", "deployments")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert listed == modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_to_existing_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_existing_modules(page: Path) -> None:
    names = set(re.findall(r"`((?:graphs|deployments|bench|scripts|tests|configs)/[\w/.-]+)`", page.read_text()))
    names |= {f"deployments/{name}" for name in re.findall(r"`(engines/[\w/.-]+)`", page.read_text())}
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_four_sections_in_order(page: Path) -> None:
    titles = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
    assert titles == ["Problem", "Options", "Choice", "Consequences"]
