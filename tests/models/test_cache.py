"""Where an engine finds a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.settings import model_path, resolve
from models import cache, catalogue
from models.errors import NotPulled
from models.pull import pull
from tests.models.conftest import WEIGHTS


def test_the_cache_is_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "parley" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.folder() == Path("/home/someone/.cache/parley/models")
    monkeypatch.setenv(cache.VARIABLE, "~/models")
    assert cache.folder() == Path("/home/someone/models")


def test_a_name_of_the_catalogue_means_its_file() -> None:
    pull(["packaged"])
    assert model_path("packaged").read_bytes() == WEIGHTS


def test_a_name_of_the_catalogue_may_mean_its_folder() -> None:
    pull(["whole"])
    assert (model_path("whole") / "model.gguf").is_file()


def test_a_path_means_itself() -> None:
    assert cache.find("pocket/asr/weights") is None
    assert model_path("pocket/asr/weights") == resolve("pocket/asr/weights")
    assert model_path("./packaged") == resolve("packaged")


def test_a_model_that_is_not_in_the_cache_is_an_error_with_the_command() -> None:
    with pytest.raises(NotPulled, match="run: python -m models pull packaged"):
        model_path("packaged")


def test_a_setting_for_which_the_model_has_no_file_is_an_error() -> None:
    pull(["packaged"])
    with pytest.raises(ValueError, match="packaged is no value of mmproj; it provides model"):
        model_path("packaged", "mmproj")


def test_a_model_of_an_older_catalogue_is_not_complete() -> None:
    pull(["packaged"])
    recorded = cache.manifest("packaged")
    assert recorded is not None
    cache.write_manifest("packaged", {"model.gguf": cache.Recorded(len(WEIGHTS), "0" * 64)})
    assert not cache.is_complete(catalogue.entry("packaged"))
    cache.write_manifest("packaged", recorded)
    assert cache.is_complete(catalogue.entry("packaged"))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model.gguf": 1}', '{"model.gguf": {"bytes": 1}}'])
def test_a_damaged_manifest_means_not_complete(content: str) -> None:
    pull(["packaged"])
    (cache.folder_of("packaged") / cache.MANIFEST).write_text(content)
    assert not cache.is_complete(catalogue.entry("packaged"))
    assert pull(["packaged"]) == ["packaged"]


def test_the_size_of_a_folder_ignores_what_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(b"123")
    (folder / "link").symlink_to(tmp_path / "nowhere")
    assert cache.bytes_in(folder) == 3
    assert cache.bytes_in(tmp_path / "nowhere") == 0
