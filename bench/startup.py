"""Seconds from ``make serve`` to RUNNING, and to the first answer; on a machine where it has run before.

    python -m bench.startup [--runs 1] [--config serve_config.yaml]

The clock starts before ``make`` does and stops at its line that Parley is RUNNING, then at a whole answer to a first
question. Afterwards the service is stopped. The last line is the figures in JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm  # type: ignore[import-untyped]

from bench.client import Request, Stopwatch, ask, connect, report

ROOT = Path(__file__).parent.parent
GIVE_UP_S = 60  # waiting for the service to end
POLL_S = 0.05
_WELCOME = re.compile(r"Parley is RUNNING.*?(http://\S+)/chat", re.DOTALL)


def start_once(config: Path) -> tuple[float, float]:
    """Seconds to RUNNING and to the first answer. Raises ``SystemExit`` with the output when it does not start."""
    with tempfile.TemporaryFile("w+") as output:
        watch = Stopwatch()
        serving = subprocess.Popen(
            ["make", "serve", f"CONFIG={config}"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url = _until_running(serving, output)
            running_s = watch.elapsed_s()
            asyncio.run(_first_answer(url))
            return running_s, watch.elapsed_s()
        finally:
            subprocess.run(["make", "stop"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
            serving.wait(GIVE_UP_S)


def _until_running(serving: subprocess.Popen[bytes], output: TextIO) -> str:
    """Watches the output until the welcome names the service; its URL."""
    while True:
        ended = serving.poll() is not None
        output.seek(0)
        said = output.read()
        if found := _WELCOME.search(said):
            return found.group(1)
        if ended:
            raise SystemExit(f"startup: it did not start:\n{said[-2000:]}")
        time.sleep(POLL_S)


async def _first_answer(url: str) -> None:
    async with connect(url) as client:
        answer = await ask(client, Request("text", "What is the capital of France?"))
    if answer.status != 200:
        raise SystemExit(f"startup: the first answer was {answer.status}: {answer.text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default=1, type=int)
    parser.add_argument("--config", default="serve_config.yaml", type=Path, help="what to serve")
    asked = parser.parse_args()
    if not (ROOT / ".venv" / ".ready").exists():
        sys.exit("startup: `make setup` first; this measures the second start")
    times = [start_once(asked.config) for _ in tqdm(range(asked.runs), "starting", leave=False)]
    for running_s, answer_s in times:
        print(f"RUNNING after {running_s:.1f} s, first answer after {answer_s:.1f} s")
    report("startup", {"running_s": [round(r, 1) for r, _ in times], "first_answer_s": [round(a, 1) for _, a in times]})


if __name__ == "__main__":
    main()
