"""How long does ``make serve`` take to RUNNING, and to the first response?

    python -m bench.startup [--runs 1] [--config configs/pocket.yaml]

Method: the clock starts before ``make`` and stops at the output line that says RUNNING, then at the end of the response
to a first question. The service is stopped after each run. Run ``make setup`` and one start before: later starts find
compiled Python files and libraries in the file cache.

JSON: ``running_s`` and ``first_response_s``, one value per run.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm  # type: ignore[import-untyped]

from bench.client import Request, Stopwatch, connect, post_chat
from bench.command import CONFIG, argument_parser, report

ROOT = Path(__file__).parent.parent
STOP_TIMEOUT_S = 60
POLL_S = 0.05
_RUNNING = re.compile(r"Parley is RUNNING.*?(http://\S+)/chat", re.DOTALL)


def start_once(config: Path) -> tuple[float, float]:
    """Return the seconds to RUNNING and to the first response. Raise ``SystemExit`` if the service does not start."""
    with tempfile.TemporaryFile("w+") as output:
        watch = Stopwatch()
        make = subprocess.Popen(
            ["make", "serve", f"CONFIG={config}"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url = _wait_until_running(make, output)
            running_s = watch.elapsed_s()
            asyncio.run(_first_response(url))
            return running_s, watch.elapsed_s()
        finally:
            subprocess.run(["make", "stop"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
            make.wait(STOP_TIMEOUT_S)


def _wait_until_running(make: subprocess.Popen[bytes], output: TextIO) -> str:
    """Return the URL of the service once it is in the output."""
    while True:
        ended = make.poll() is not None
        output.seek(0)
        text = output.read()
        if found := _RUNNING.search(text):
            return found.group(1)
        if ended:
            raise SystemExit(f"startup: the service did not start:\n{text[-2000:]}")
        time.sleep(POLL_S)


async def _first_response(url: str) -> None:
    async with connect(url) as client:
        response = await post_chat(client, Request("text", "What is the capital of France?"))
    if response.status != 200:
        raise SystemExit(f"startup: the first response was {response.status}: {response.text}")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--runs", default=1, type=int)
    parser.add_argument("--config", default=CONFIG, type=Path, help="the configuration to serve")
    options = parser.parse_args()
    if not (ROOT / ".venv" / ".ready").exists():
        sys.exit("startup: run `make setup` first")
    times = [start_once(options.config) for _ in tqdm(range(options.runs), "startup", leave=False)]
    for running_s, response_s in times:
        print(f"RUNNING after {running_s:.1f} s, first response after {response_s:.1f} s")
    figures = {"running_s": [round(r, 1) for r, _ in times], "first_response_s": [round(f, 1) for _, f in times]}
    report("startup", figures)


if __name__ == "__main__":
    main()
