"""The entries of the shipped catalogue, and reading a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from models import catalogue
from models.catalogue import Entry, HubFile, Variant, entries
from models.errors import InvalidCatalogue, UnknownModel
from tests.models.conftest import ROOT
from tests.models.conftest import entries as small

NOT_PULLED = [  # the hub is not reachable from the machines on which these tests run
    "whisper-small",
    "whisper-large-v3-turbo",
    "mistral-7b-instruct",
    "mistral-7b-instruct-mlc",
    "llava-1.6-mistral-7b",
    "llava-1.6-34b",
    "vits-ljspeech",
]
"""Entries of which nobody has compared the bytes with the catalogue."""
NOT_PINNED = ["mistral-7b-instruct-mlc", "llava-1.6-34b", "vits-ljspeech"]


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> dict[str, Entry]:
    monkeypatch.delenv(catalogue.VARIABLE)
    return dict(entries())


def test_the_entries_that_were_never_pulled_are_marked(shipped: dict[str, Entry]) -> None:
    assert [name for name, entry in shipped.items() if not entry.verified] == NOT_PULLED


def test_every_revision_of_the_hub_is_pinned_except_those_that_are_listed(shipped: dict[str, Entry]) -> None:
    pinned = {
        name: all(len(source.revision) == 40 for variant in entry.variants for source in hub_files(variant))
        for name, entry in shipped.items()
    }
    assert [name for name, whole in pinned.items() if not whole] == NOT_PINNED


def test_a_verified_variant_has_the_size_and_hash_of_every_file(shipped: dict[str, Entry]) -> None:
    for entry in shipped.values():
        for variant in entry.variants:
            if variant.verified:
                assert variant.files
                assert [path for path, file in variant.files.items() if not (file.bytes and file.sha256)] == []


def test_every_entry_states_a_size_and_a_licence(shipped: dict[str, Entry]) -> None:
    for entry in shipped.values():
        assert entry.bytes > 5_000_000
        assert entry.licence in ("MIT", "Apache-2.0", "BSD-2-Clause")


def test_a_setting_means_a_file_or_a_folder_of_every_variant(shipped: dict[str, Entry]) -> None:
    for entry in shipped.values():
        for variant in entry.variants:
            for path in entry.settings.values():
                assert path == "." or any(file == path or file.startswith(f"{path}/") for file in variant.files)


def test_kokoro_has_its_54_voices(shipped: dict[str, Entry]) -> None:
    voices = {path: file for path, file in shipped["kokoro-82m"].variants[0].files.items() if "voices/" in path}
    assert len(voices) == 54
    assert {file.bytes for file in voices.values()} == {510 * 1 * 256 * 4}


def test_the_repository_names_no_host_of_a_registry() -> None:
    for path in [*(ROOT / "models").glob("*.*"), ROOT / "docs" / "models.md"]:
        assert "://" not in path.read_text().replace('f"{endpoint}/api', ""), path


def hub_files(variant: Variant) -> list[HubFile]:
    sources = [source for path in variant.files for source in variant.sources_of(path)]
    return [source for source in [*sources, variant.repository] if isinstance(source, HubFile)]


# --- reading ----------------------------------------------------------------------------------------------------------


def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    monkeypatch.setenv(catalogue.VARIABLE, str(path))


def changed(**fields: Any) -> dict[str, Any]:
    return {"packaged": small()["packaged"] | fields}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "not valid"),
        ("- a", "not valid"),
        (changed(colour="red"), "colour"),
        (changed(variants=[]), "variants"),
        (changed(variants=[{"files": {"a": {}}}]), "no source for a"),
        (changed(variants=[{"files": {}}]), "either files or a repository"),
        (changed(variants=[{"files": {"../a": {"sources": [{"local": "/a"}]}}}]), "no path within"),
        (changed(variants=[{"files": {"/a": {"sources": [{"local": "/a"}]}}}]), "no path within"),
        (changed(variants=[{"files": {"a": {"sha256": "12", "sources": [{"local": "/a"}]}}}]), "sha256"),
    ],
)
def test_an_invalid_catalogue_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, message: str
) -> None:
    write(tmp_path, monkeypatch, content)
    with pytest.raises(InvalidCatalogue, match=message):
        entries()


def test_a_missing_catalogue_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(catalogue.VARIABLE, str(tmp_path / "none.yaml"))
    with pytest.raises(InvalidCatalogue, match=r"none\.yaml cannot be read"):
        entries()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownModel, match="it has packaged"):
        catalogue.entry("none")


def test_the_models_of_a_configuration_are_found() -> None:
    configuration = {
        "applications": [
            {
                "args": {
                    "speech_to_text": {"engine": "whisper", "model": "packaged"},
                    "text_llm": {"engine": "llama", "model": "hubbed", "mmproj": "hubbed"},
                    "vision_llm": {"engine": "llama", "repo_id": "owner/name", "model": "joined"},
                    "text_to_speech": {"engine": "fake", "served_name": "voiced", "model": "pocket/tts/weights"},
                    "gateway": None,
                }
            }
        ]
    }
    assert catalogue.named_in(configuration) == ["packaged", "hubbed"]
    assert catalogue.named_in({}) == []
