"""Every curl command of the README works as written."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

LINES = re.findall(r"^curl .*$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_readme_has_four_curl_commands() -> None:
    assert len(LINES) == 4


@pytest.mark.parametrize("line", LINES)
def test_a_curl_command_works_as_written(base_url: str, tmp_path: Path, line: str) -> None:
    words = [word.replace("http://127.0.0.1:8000", base_url) for word in shlex.split(line)]
    if "-o" in words:
        words[words.index("-o") + 1] = str(tmp_path / "answer.wav")
    done = subprocess.run([*words, "--fail-with-body"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    audio = tmp_path / "answer.wav"
    assert audio.read_bytes()[:4] == b"RIFF" if "-o" in words else '"text"' in done.stdout
