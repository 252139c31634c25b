"""Every recipe of docs/recipes.md for curl, Python and Node works as written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from graphs.settings import GatewayConfig
from tests.e2e import node
from tests.e2e.conftest import ROOT

PAGE = (ROOT / "docs" / "recipes.md").read_text()


def recipes(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(command: list[str], base_url: str, folder: Path) -> str:
    (folder / "tests").symlink_to(ROOT / "tests")
    command = [part.replace("http://127.0.0.1:8000", base_url) for part in command]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_recipes_in_every_language() -> None:
    assert [len(recipes(language)) for language in ("sh", "python", "js", "yaml")] == [4, 5, 1, 2]


CURL_OUTPUT = ["Paris", "data: [DONE]", "", "00:00:0"]


@pytest.mark.parametrize("number", range(4))
def test_a_curl_recipe_works_as_written(base_url: str, tmp_path: Path, number: int) -> None:
    output = run(["sh", "-c", recipes("sh")[number].replace("curl ", "curl --fail-with-body ")], base_url, tmp_path)
    assert CURL_OUTPUT[number] in output
    if number == 2:
        assert (tmp_path / "answer.mp3").stat().st_size > 5_000


PYTHON_OUTPUT = [r"Paris.*\n.*Paris", r"Paris.* \d{5,}\n.*(twelve|12)", "two red circles", r"\d{5,}\n.*france",
                      r"city='.*' sure=(True|False)"]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
def test_a_python_recipe_works_as_written(base_url: str, tmp_path: Path, number: int) -> None:
    output = run([sys.executable, "-c", recipes("python")[number]], base_url, tmp_path)
    assert re.search(PYTHON_OUTPUT[number], output, re.IGNORECASE), output


def test_the_node_recipe_works_as_written(base_url: str, tmp_path: Path) -> None:
    recipe = recipes("js")[0].replace("http://127.0.0.1:8000", base_url)
    lines = node.run(["-e", recipe], tmp_path).splitlines()
    assert [line for line in lines[:3] if "paris" not in line.lower()] == []
    assert int(lines[2].split()[-1]) > 10_000
    assert int(lines[3]) > 2_000


def test_the_litellm_recipe_is_yaml() -> None:
    assert len(yaml.safe_load(recipes("yaml")[0])["model_list"]) == 3


def test_the_recipe_for_pictures_by_url_is_valid_settings_of_the_gateway() -> None:
    assert GatewayConfig.model_validate(yaml.safe_load(recipes("yaml")[1])["user_config"]).picture_hosts
