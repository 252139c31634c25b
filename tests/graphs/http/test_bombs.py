"""Requests that cost much more memory or time than their size. Each is read in a process with a limit on its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphs.settings import GatewayConfig

ROOT = Path(__file__).resolve().parents[3]
MIB = 2**20
MEMORY_BYTES = 400 * MIB  # in addition to the request itself; each value of a dict takes 232 bytes or more
CPU_S = 3  # the slowest takes 0.5 s; unbounded parsing takes 15 s or more

READ = """
import asyncio, json, resource, sys, time
from deployments.errors import ParleyError
from graphs.http.chat.request import ChatReader
from graphs.http.executor import CodecExecutor
from graphs.http.media.fetch import Fetcher
from graphs.http.openai.chat.request import CompletionReader
from graphs.http.openai.models import Models
from graphs.pipeline.plan import Stage
from graphs.settings import GatewayConfig
from tests.graphs.http.client import budget, received

MIB = 2**20
path, content_type, memory_bytes = sys.argv[1], sys.argv[2], int(sys.argv[4])
body = eval(sys.argv[3])
config, executor = GatewayConfig(), CodecExecutor(1)
if path == "/chat":
    reader = ChatReader(config, executor, None, budget())
else:
    models = Models(dict.fromkeys(Stage, "model"), 1)
    reader = CompletionReader(config, executor, None, budget(), models, Fetcher(config))
request = received(path, 65536, content=body, headers={"content-type": content_type})
with open("/proc/self/statm") as statm:
    limit = int(statm.read().split()[0]) * resource.getpagesize() + memory_bytes
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before_kib, before_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    asyncio.run(reader.read(request))
    status = 200
except ParleyError as error:
    status = error.status
peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) // 1024
print(json.dumps({"status": status, "peak_mib": peak_mib, "cpu_s": round(time.process_time() - before_s, 3)}))
"""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=x"
PART = rb"""b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'""".decode()
MESSAGES = """b'[' + b'{"":0},' * (32 * MIB // 7 - 100) + b'{}]'"""


def read(path: str, content_type: str, body: str) -> dict[str, Any]:
    """Return the outcome of a request whose body is the value of the expression ``body``."""
    arguments = [sys.executable, "-c", READ, path, content_type, body, str(MEMORY_BYTES)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (f"""b'{{"messages":' + {MESSAGES} + b'}}'""", 413),
        ("""b'{"messages":[' + b'[],' * 10_000_000 + b'[]]}'""", 413),
        ("""b'{"messages":[' + b'"",' * 10_000_000 + b'""]}'""", 413),
        ("""b'[' * (32 * MIB)""", 413),
        ("""b'[' * 190_000""", 400),
        ("""b'{"a":' * 95_000""", 400),
        ("""json.dumps(dict.fromkeys(map(str, range(95_000)))).encode()""", 400),
        ("""json.dumps({"messages": [dict.fromkeys(map(str, range(95_000)))]}).encode()""", 400),
        ("""json.dumps({"messages": [[]] * 90_000}).encode()""", 400),
        ("""json.dumps({"messages": [{"x": 0}] * 60_000}).encode()""", 400),
        ("""json.dumps({"messages": [{"role": "user", "content": "x"}] * 30_000}).encode()""", 400),
        ("""json.dumps({"image": [""] * 190_000, "audio": [0] * 5000}).encode()""", 400),
    ],
    ids=[
        "objects", "lists", "strings", "nesting", "less nesting", "nested objects", "unknown fields",
        "unknown fields of a message", "messages that are lists", "messages with an unknown field", "messages",
        "pictures",
    ],
)  # fmt: skip
def test_reads_json_in_bounded_memory_and_time(path: str, body: str, status: int) -> None:
    outcome = read(path, JSON, body)
    assert outcome["status"] == status
    assert outcome["cpu_s"] < CPU_S


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (FORM, "b'&' * 3_000_000", 400),
        (FORM, "b'&' * (32 * MIB)", 400),
        (FORM, "b'a=&' * (8 * MIB)", 400),
        (FORM, f"b'messages=' + {MESSAGES}[:-100]", 413),
        (PARTS, f"{PART} % (b'messages', {MESSAGES}[:-1000]) + b'--x--'", 413),
        (PARTS, f"({PART} % (b'text', b'')) * 300_000 + b'--x--'", 400),
        (PARTS, "b'--x\\r\\n' + b'A: b\\r\\n' * 5_000_000", 400),
        (PARTS, "b'--x\\r\\nA: ' + b'b' * 30_000_000", 400),
        (PARTS, "b'\\r\\n' * 15_000_000", 422),
    ],
    ids=["ampersands", "32 MiB of ampersands", "fields", "messages in a form", "messages in a part", "parts",
         "headers of a part", "a header of a part", "empty lines"],
)  # fmt: skip
def test_reads_forms_in_bounded_memory_and_time(content_type: str, body: str, status: int) -> None:
    outcome = read("/chat", content_type, body)
    assert outcome["status"] == status
    assert outcome["cpu_s"] < CPU_S


def test_separators_inside_of_strings_do_not_count() -> None:
    text = "('1,[{:' * 31_000)"
    body = f"""json.dumps({{"text": "Hi", "messages": [{{"role": "user", "content": {text}}}] * 2}}).encode()"""
    assert GatewayConfig().max_json_items < 31_000 * 4 * 2
    assert read("/chat", JSON, body)["status"] == 200


def test_counts_the_values_after_a_string_without_end() -> None:
    assert read("/chat", JSON, """b'{"a":"' + rb'\\"' * 8_000_000 + b',' * 300_000""")["status"] == 400
    assert read("/chat", JSON, """b'{"a":"\\\\\\\\"' + b',0' * 300_000""")["status"] == 413
