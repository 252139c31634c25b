"""Download one model with the library of its engine: ``python -m models.libraries JSON``, the fields of a ``Named``.

Prints one line of JSON: the size of the model, or an error. The libraries print their own progress on a terminal.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

if not sys.stderr.isatty():
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # read when huggingface_hub is imported

CACHES = {
    "huggingface_hub": "HF_HOME sets another folder for the hub's",
    "faster_whisper": "HF_HOME sets another folder for the hub's",
    "coqui": "TTS_HOME and HF_HOME set other folders for those of Coqui TTS",
}


def main(argument: str) -> int:
    named = json.loads(argument)
    with contextlib.redirect_stdout(sys.stderr):
        result = _result(named)
    print(json.dumps(result))
    return 1 if "error" in result else 0


def _result(named: dict[str, Any]) -> dict[str, Any]:
    try:
        match named["library"]:
            case "huggingface_hub":
                paths = _hub_files(named["name"], named["revision"], named["files"])
            case "faster_whisper":
                paths = [_whisper(named["name"], named["revision"])]
            case _:
                paths = _coqui(named["name"])
        return {"bytes": sum(map(_bytes_in, paths))}
    except Exception as error:  # of several libraries, and of what they use
        return {"error": _explained(error), "kind": _kind(error), "cache": CACHES[named["library"]]}


def _hub_files(repository: str, revision: str | None, files: list[str]) -> list[Path]:
    from huggingface_hub import hf_hub_download

    return [Path(hf_hub_download(repository, file, revision=revision)) for file in files]


def _whisper(name: str, revision: str | None) -> Path:
    """Download what faster-whisper means by a size or a repository; it leaves out formats that it cannot read."""
    from faster_whisper import utils
    from huggingface_hub.utils import tqdm

    utils.disabled_tqdm = tqdm  # it shows no progress otherwise
    return Path(utils.download_model(name, revision=revision))


def _coqui(name: str) -> list[Path]:
    """Download a model of Coqui TTS and its vocoder.

    Coqui takes any folder of the right name for a whole model, also what an interrupted download has left. So it
    downloads into another folder, which gets this name when it is whole. Models of the hub stay in the hub's cache.
    """
    from TTS.utils.manage import ModelManager

    manager = ModelManager()
    manager.output_prefix.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=manager.output_prefix, prefix=".partial-") as temporary:
        partial = ModelManager(output_prefix=temporary, progress_bar=sys.stderr.isatty())
        item = _model_item(manager, name)
        names = [name, item["default_vocoder"]] if item.get("default_vocoder") else [name]
        for each in names:
            folder = each.replace("/", "--")
            if "repo_id" not in _model_item(manager, each) and not (manager.output_prefix / folder).is_dir():
                partial.download_model(each)
                with contextlib.suppress(OSError):  # another process was faster
                    (partial.output_prefix / folder).rename(manager.output_prefix / folder)
    return [manager.download_model(each)[1].parent for each in names]  # sets the paths in their configurations


def _model_item(manager: Any, name: str) -> dict[str, Any]:
    """Return what Coqui TTS knows about a model. Raise ``ValueError`` for a name that it does not have."""
    kind, language, dataset, model = [*name.split("/"), "", "", "", ""][:4]
    if dataset == "fairseq":  # some 1,100 languages, in no list
        return {}
    try:
        item: dict[str, Any] = manager.models_dict[kind][language][dataset][model]
        return item
    except KeyError:
        raise ValueError(f"Coqui TTS has no model {name}; `tts --list_models` lists them") from None


def _explained(error: BaseException) -> str:
    """Return an error in one line, with its cause, which the hub's library leaves out."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return _explained(error.__cause__)
    return " ".join(str(error).split())[:500] or type(error).__name__


def _kind(error: Exception) -> str:
    import requests
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "disk"
    if isinstance(error, LocalEntryNotFoundError) and not isinstance(error.__cause__, HfHubHTTPError):
        return "connection"
    unreachable = (ConnectionError, requests.ConnectionError, requests.Timeout)
    return "connection" if isinstance(error, unreachable) else "other"


def _bytes_in(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
