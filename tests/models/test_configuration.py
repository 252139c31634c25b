"""Pulling what a configuration names outside of the catalogue, with the libraries of the engines."""

from __future__ import annotations

import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from models import cache, configuration, libraries
from models.__main__ import main
from models.configuration import Named, named_in, pull_configuration
from models.errors import DiskFull, PullFailed
from models.progress import Lines, Progress
from scripts import serve
from tests.models.conftest import OTHER, REVISION, WEIGHTS
from tests.models.standin import StandIn, address_of_file

LLAMA = {"engine": "llama", "repo_id": "owner/weights", "model": "model.gguf", "mmproj": "config.json"}
WHISPER = {"engine": "whisper", "model": "owner/whisper"}
WHISPER_FILES = {"model.bin": WEIGHTS, "config.json": b"{}", "tokenizer.json": b"{}", "vocabulary.txt": b"a"}
CLOSED = "http://127.0.0.1:9"


def of(*engines: dict[str, Any]) -> dict[str, Any]:
    return {"applications": [{"args": {str(number): engine for number, engine in enumerate(engines)}}]}


@pytest.fixture(autouse=True)
def hub(registry: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of the hub for its library, and an empty cache of the hub."""
    registry.add_hub_repository("owner/whisper", REVISION, {**WHISPER_FILES, "model.safetensors": OTHER})
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "2")
    return tmp_path / "hub" / "hub"


def in_the_hubs_cache(hub: Path, repository: str) -> dict[str, bytes]:
    found = (hub / f"models--{repository.replace('/', '--')}" / "snapshots" / REVISION).rglob("*")
    return {path.name: path.read_bytes() for path in found if path.is_file()}


# --- what is named ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (LLAMA, Named("huggingface_hub", "owner/weights", None, ("model.gguf", "config.json"))),
        (
            {"engine": "llama", "repo_id": "a/b", "revision": "v1", "model": "c", "mmproj": None},
            Named("huggingface_hub", "a/b", "v1", ("c",)),
        ),
        (WHISPER, Named("faster_whisper", "owner/whisper")),
        (
            {"engine": "whisper", "model": "large-v3-turbo", "revision": "v1"},
            Named("faster_whisper", "large-v3-turbo", "v1"),
        ),
        (
            {"engine": "coqui", "model_name": "tts_models/en/ljspeech/vits"},
            Named("coqui", "tts_models/en/ljspeech/vits"),
        ),
    ],
)
def test_names_outside_of_the_catalogue_are_found(engine: dict[str, Any], expected: Named) -> None:
    assert list(named_in(of(engine))) == [expected]


@pytest.mark.parametrize(
    "engine",
    [
        {"engine": "whisper", "model": "packaged"},
        {"engine": "whisper", "model": "pocket/asr/weights"},
        {"engine": "whisper", "model": "pocket/asr"},
        {"engine": "whisper", "model": "./large-v3-turbo"},
        {"engine": "whisper", "model": "/models/whisper"},
        {"engine": "whisper", "model": "~/whisper"},
        {"engine": "llama", "model": "model.gguf"},
        {"engine": "coqui", "model": "a.pth", "config": "a.json"},
        {"engine": "fake"},
    ],
    ids=str,
)
def test_paths_and_models_of_the_catalogue_are_no_names_of_a_library(engine: dict[str, Any]) -> None:
    assert list(named_in(of(engine))) == []


# --- the hub ----------------------------------------------------------------------------------------------------------


def test_files_of_a_repository_are_pulled_into_the_hubs_cache(hub: Path) -> None:
    pull_configuration(of(LLAMA), Progress())
    assert in_the_hubs_cache(hub, "owner/weights") == {"model.gguf": WEIGHTS, "config.json": OTHER}


def test_of_a_whisper_model_only_what_the_engine_reads_is_pulled(hub: Path) -> None:
    pull_configuration(of(WHISPER | {"revision": REVISION}), Progress())
    assert in_the_hubs_cache(hub, "owner/whisper") == WHISPER_FILES


def test_what_is_in_the_hubs_cache_is_not_downloaded_again_and_needs_no_hub(
    registry: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull_configuration(of(LLAMA), Progress())
    registry.requests.clear()
    pull_configuration(of(LLAMA), Progress())
    assert registry.count("model.gguf") <= 1  # whether it has changed
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    pull_configuration(of(LLAMA), Progress())


def test_progress_is_one_line_before_and_one_after() -> None:
    stream = io.StringIO()
    pull_configuration(of(LLAMA), Lines(stream))
    before, after = stream.getvalue().splitlines()
    assert before == "Downloading owner/weights at revision main of the model hub, unless it is there"
    assert after.startswith("owner/weights at revision main of the model hub  301 kB  ")


def test_make_serve_pulls_names_of_the_hub_and_names_the_bundled_models_if_it_cannot(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    message = r"(?s)owner/whisper .*cannot be pulled.*Check the network.*CONFIG=configs/pocket\.yaml make serve"
    with pytest.raises(serve.CannotStart, match=message):
        serve.pull_models(of(WHISPER))


def test_the_command_pulls_names_of_the_hub(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(of({"engine": "llama", "model": "hubbed"}, LLAMA)))
    assert main(["pull", "--config", str(path)]) == 0
    catalogued, named = capsys.readouterr().out.splitlines()
    assert catalogued.startswith("hubbed: pulled, ")
    assert named == "owner/weights at revision main of the model hub: ready"


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (LLAMA | {"repo_id": "owner/none"}, r"Repository Not Found for url: .*owner/none"),
        (LLAMA | {"model": "none.gguf"}, r"Entry Not Found for url: .*none\.gguf"),
        (LLAMA | {"revision": "none"}, r"Not Found for url: .*none/model\.gguf"),
        (WHISPER | {"model": "enormous"}, r"Invalid model size 'enormous', expected one of: tiny"),
    ],
)
def test_what_the_hub_does_not_have_is_named(engine: dict[str, Any], message: str) -> None:
    with pytest.raises(PullFailed, match=f"(?is){message}"):
        pull_configuration(of(engine), Progress())


def test_a_download_from_the_hub_that_was_cut_off_is_completed(registry: StandIn, hub: Path) -> None:
    registry.cut_after[address_of_file("owner/weights", REVISION, "model.gguf")] = 120_000
    pull_configuration(of(LLAMA), Progress())
    assert in_the_hubs_cache(hub, "owner/weights")["model.gguf"] == WEIGHTS


def test_a_process_that_ends_without_an_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "ROOT", "/")  # where there is no models.libraries
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(PullFailed, match="its process has ended with 1"):
        pull_configuration(of(LLAMA), Progress())


def test_a_full_disk_is_reported_with_the_variable_that_moves_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(libraries, "_hub_files", full)
    result = libraries._result({"library": "huggingface_hub", "name": "a/b", "revision": None, "files": []})
    assert result["kind"] == "disk"

    class Ended:
        stdout = json.dumps(result)
        returncode = 1

    monkeypatch.setattr(configuration.subprocess, "run", lambda *_, **__: Ended)
    with pytest.raises(DiskFull, match=r"no space for a/b .*No space left on device.*HF_HOME"):
        pull_configuration(of(LLAMA | {"repo_id": "a/b"}), Progress())


# --- Coqui TTS --------------------------------------------------------------------------------------------------------

VOICE = "tts_models/en/someone/vits"
VOCODER = "vocoder_models/en/someone/hifigan"


def zipped(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, content in files.items():
            archive.writestr(f"folder/{path}", content)
    return written.getvalue()


@pytest.fixture
def coqui(registry: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Coqui TTS with one voice and its vocoder, from the stand-in. Return the folder of its models."""
    from TTS.utils import manage

    def model(path: str, **fields: str) -> dict[str, Any]:
        return {"github_rls_url": f"{registry.url}{path}", "license": "MIT", **fields}

    listed = tmp_path / "models.json"
    listed.write_text(
        json.dumps(
            {
                "tts_models": {"en": {"someone": {"vits": model("/tts/voice.zip", default_vocoder=VOCODER)}}},
                "vocoder_models": {"en": {"someone": {"hifigan": model("/tts/vocoder.zip")}}},
            }
        )
    )
    registry.files["/tts/voice.zip"] = zipped({"model_file.pth": WEIGHTS, "config.json": b'{"model": "vits"}'})
    registry.files["/tts/vocoder.zip"] = zipped({"model_file.pth": OTHER, "config.json": b'{"model": "hifigan"}'})
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "voices"))
    monkeypatch.setattr(manage, "ModelManager", partial(manage.ModelManager, models_file=listed))
    return tmp_path / "voices" / "tts"


def test_a_voice_of_coqui_is_pulled_with_its_vocoder(coqui: Path) -> None:
    libraries._coqui(VOICE)
    assert sorted(path.name for path in coqui.iterdir()) == [
        "tts_models--en--someone--vits",
        "vocoder_models--en--someone--hifigan",
    ]
    assert (coqui / VOICE.replace("/", "--") / "model_file.pth").read_bytes() == WEIGHTS


def test_a_voice_of_coqui_that_is_there_is_not_downloaded_again(coqui: Path, registry: StandIn) -> None:
    libraries._coqui(VOICE)
    registry.requests.clear()
    libraries._coqui(VOICE)
    assert registry.requests == []


def test_a_failed_download_of_coqui_leaves_nothing_and_the_next_one_succeeds(coqui: Path, registry: StandIn) -> None:
    whole = registry.files["/tts/vocoder.zip"]
    registry.files["/tts/vocoder.zip"] = whole[:500]
    result = libraries._result({"library": "coqui", "name": VOICE})
    assert "error" in result
    assert [path.name for path in coqui.iterdir()] == ["tts_models--en--someone--vits"]
    registry.files["/tts/vocoder.zip"] = whole
    assert libraries._result({"library": "coqui", "name": VOICE})["bytes"] > len(WEIGHTS) + len(OTHER)


@pytest.mark.parametrize("name", ["tts_models/en/someone/none", "vits", "a/b/c/d/e"])
def test_a_voice_that_coqui_does_not_have_is_named(coqui: Path, name: str) -> None:
    result = libraries._result({"library": "coqui", "name": name})
    assert result["error"].startswith(f"Coqui TTS has no model {name}")


def test_a_closed_network_is_told_apart_from_other_errors(coqui: Path, registry: StandIn) -> None:
    registry.close()
    assert libraries._result({"library": "coqui", "name": VOICE})["kind"] == "connection"


@pytest.mark.parametrize("missing", [VOICE, VOCODER])
def test_a_replica_does_not_download_a_voice_of_coqui(coqui: Path, missing: str, registry: StandIn) -> None:
    from deployments.engines.coqui.engine import _require_downloaded

    libraries._coqui(VOICE)
    _require_downloaded(VOICE)
    (coqui / missing.replace("/", "--")).rename(coqui / "elsewhere")
    registry.requests.clear()
    with pytest.raises(cache.NotPulled, match=f"{missing} of Coqui TTS .* run: python -m models pull --config FILE"):
        _require_downloaded(VOICE)
    assert registry.requests == []
