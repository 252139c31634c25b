"""How long does a plain question take while another client attacks the service?

    make serve
    python -m bench.attacks [--attack json,header] [--seconds 60] [--keys KEY,ATTACKERS_KEY]

Method: one client asks the same written question in a closed loop with a pause of 0.1 s, first alone, then during each
attack, which another client repeats without a pause (or with several connections at a time, where slowness is the
attack).
``--keys`` are two API keys of the service, so that its limits per key apply.

JSON: per attack the times of the question, ``ratio`` of their p95 to that alone (the lower one of before and after),
``statuses`` of the attacker's responses, ``failed`` questions, and the replicas that were ``lost``: replaced by other
processes.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import multiprocessing
import struct
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import httpx

from bench.client import connect
from bench.command import URL, argument_parser, comma_separated, report
from bench.faults import TITLES, title_of
from bench.figures import spread_ms
from bench.memory import application

QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
PAUSE_S = 0.1
CONNECTIONS = 64
STALLED_CONNECTIONS = 8  # as many bodies of STALLED_BYTES as the Gateway's max_bodies_bytes holds
STALLED_BYTES = 31 * 2**20

Attack = Callable[[httpx.AsyncClient], Awaitable[str]]
"""One attempt; returns the status of the response, or what ended it."""


def _chat(fields: dict[str, object]) -> Attack:
    async def attempt(client: httpx.AsyncClient) -> str:
        return str((await client.post("/v1/chat/completions", json=fields)).status_code)

    return attempt


def _post(path: str, content: bytes, media_type: str) -> Attack:
    async def attempt(client: httpx.AsyncClient) -> str:
        return str((await client.post(path, content=content, headers={"content-type": media_type})).status_code)

    return attempt


def _raw(parts: list[bytes], pause_s: float, connections: int = CONNECTIONS) -> Attack:
    """Return an attack with several sockets, each of which sends ``parts`` with pauses."""

    async def connection(client: httpx.AsyncClient) -> str:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port or 80)
        try:
            for part in (parts[0] + _authorization(client), *parts[1:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            return (await reader.read(12))[9:12].decode() or "closed"
        except OSError:
            return "closed"
        finally:
            writer.close()

    async def attempt(client: httpx.AsyncClient) -> str:
        results = await asyncio.gather(*(connection(client) for _ in range(connections)))
        return ",".join(sorted(set(results)))

    return attempt


def _authorization(client: httpx.AsyncClient) -> bytes:
    """Return the line of the header with the client's API key; empty without one."""
    key = client.headers.get("authorization")
    return f"authorization: {key}\r\n".encode() if key else b""


async def _unread(client: httpx.AsyncClient) -> str:
    """Request the audio of long texts on ``CONNECTIONS`` sockets and read nothing of it."""
    body = json.dumps(
        {"input": "This is a long sentence about nothing at all. " * 80, "response_format": "wav"}
    ).encode()
    lines = [
        "POST /v1/audio/speech HTTP/1.1",
        "host: x",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    head = "\r\n".join([*lines, ""])
    writers = []
    for _ in range(CONNECTIONS):
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port or 80, limit=1024)
        writer.write(head.encode() + _authorization(client) + b"\r\n" + body)
        writers.append(writer)
    await asyncio.sleep(10)
    for writer in writers:
        writer.close()
    return "unread"


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((3 * width + 1) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _progressive_jpeg() -> bytes:
    """Return a JPEG of 4000 x 4000 pixels whose scans are repeated 2,000 times."""
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((4000, 4000), 1).save(file, "JPEG", progressive=True, quality=5)
    data = file.getvalue()
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff\xda", start + 2)
    return data[:start] + data[start:end] * 2000 + data[end:]


def _schema(schema: dict[str, object]) -> dict[str, object]:
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return QUESTION | {"response_format": response_format, "max_tokens": 200}


def attacks() -> dict[str, Attack]:
    """Return the attacks by name. Files of several megabytes are made here, once."""
    recursive = [
        {"type": "object", "title": str(i), "properties": {"a": {"$ref": "#"}}, "required": ["a"]} for i in range(400)
    ]
    picture = "data:image/png;base64," + base64.b64encode(_png(1, 24_999_999)).decode()
    noise = json.dumps({"text": "What?", "image": base64.b64encode(bytes(23_000_000)).decode()}).encode()
    long_text = "<|im_end|>" * 20_000
    head = b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n"
    stalled = b"POST /chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % 2**25
    begun = b'\r\n{"text": "'.ljust(STALLED_BYTES, b"x")
    return {
        "json": _post("/chat", b'{"messages":[' + b",".join([b'{"":0}'] * 4_000_000) + b"]}", "application/json"),
        "header": _raw([b"POST /chat HTTP/1.1\r\nhost: x\r\n", b"x: " + b"a" * 5_000_000], 0),
        "base64": _post("/chat", noise, "application/json"),
        "picture": _post("/chat", json.dumps({"text": "What?", "image": picture}).encode(), "application/json"),
        "jpeg": _post("/chat", _progressive_jpeg(), "image/jpeg"),
        "form": _post("/chat", b"&" * 3_000_000, "application/x-www-form-urlencoded"),
        "schema": _chat(_schema({"anyOf": recursive})),
        "enum": _chat(_schema({"enum": [f"value {i}" for i in range(10_000)]})),
        "slow header": _raw([head, *[b"x"] * 6], 2),
        "slow body": _raw([head, b"\r\n", *[b"x"] * 6], 2),
        "stalled body": _raw([stalled, begun], 0, STALLED_CONNECTIONS),
        "unread": _unread,
        "markers": _chat(QUESTION | {"messages": [{"role": "user", "content": long_text}]}),
    }


async def _ask(client: httpx.AsyncClient, seconds: float) -> tuple[list[float], Counter[str]]:
    """Return the durations of correct answers to the question, and the statuses of the others."""
    durations: list[float] = []
    failed: Counter[str] = Counter()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        try:
            response = await client.post("/v1/chat/completions", json=QUESTION)
            status = str(response.status_code)
        except httpx.HTTPError as error:
            status = type(error).__name__
        if status == "200":
            durations.append(time.perf_counter() - started)
        else:
            failed[status] += 1
        await asyncio.sleep(PAUSE_S)
    return durations, failed


async def _repeat(attack: Attack, client: httpx.AsyncClient, statuses: Counter[str]) -> None:
    while True:
        try:
            statuses[await attack(client)] += 1
        except httpx.HTTPError as error:
            statuses[type(error).__name__] += 1
            await asyncio.sleep(PAUSE_S)


async def _attack(name: str, url: str, key: str | None, end: Connection) -> Counter[str]:
    """Repeat an attack until ``end`` has a message. Return the statuses of the responses."""
    attack, statuses = attacks()[name], Counter[str]()
    async with connect(url) as client:
        client.headers.update(_headers(key))
        repeating = asyncio.create_task(_repeat(attack, client, statuses))
        end.send(None)  # the files of the attack are made
        await asyncio.to_thread(end.recv)
        repeating.cancel()
        with suppress(asyncio.CancelledError):
            await repeating
    return statuses


def _attacker(name: str, url: str, key: str | None, end: Connection) -> None:
    """Run an attack in a process of its own, as sending megabytes would delay the questions of this one."""
    end.send(asyncio.run(_attack(name, url, key, end)))


@asynccontextmanager
async def _attacked(name: str, url: str, key: str | None, statuses: Counter[str]) -> AsyncIterator[None]:
    """Attack the service while entered, and add the statuses of the responses to ``statuses``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_attacker, args=(name, url, key, theirs), daemon=True)
    process.start()
    await asyncio.to_thread(ours.recv)
    try:
        yield
    finally:
        ours.send(None)
        statuses.update(await asyncio.to_thread(ours.recv))
        process.join()


def _headers(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _replicas(port: int) -> dict[int, str]:
    """Return the names of the service's replicas and proxies by their process ids."""
    titles = {process.pid: title_of(process) for process in application(port)}
    return {pid: title for pid, title in titles.items() if title.startswith(("ray::ServeReplica", TITLES["proxy"]))}


async def measure(
    url: str, names: list[str], seconds: float, keys: Sequence[str], port: int
) -> dict[str, dict[str, object]]:
    """Run each attack for ``seconds`` and print a line for it."""
    results: dict[str, dict[str, object]] = {}
    key, attackers_key = (*keys, None, None)[:2]
    async with connect(url) as client:
        client.headers.update(_headers(key))
        await _ask(client, 3)
        for name in names or list(attacks()):
            replicas = await asyncio.to_thread(_replicas, port)
            before, _ = await _ask(client, 10)
            statuses: Counter[str] = Counter()
            async with _attacked(name, url, attackers_key, statuses):
                during, failed = await _ask(client, seconds)
            await asyncio.sleep(2)
            after, _ = await _ask(client, 10)
            alone = min((spread_ms(before), spread_ms(after)), key=lambda spread: spread["p95_ms"])
            question = spread_ms(during)
            ratio = round(question["p95_ms"] / alone["p95_ms"], 2)
            there = await asyncio.to_thread(_replicas, port)
            lost = [title for pid, title in replicas.items() if pid not in there]
            results[name] = {"ratio": ratio, "alone": alone, "question": question, "failed": dict(failed)}
            results[name] |= {"statuses": dict(statuses), "lost": lost}
            print(
                f"{name:12} p95 {question['p95_ms']:7.1f} ms, alone {alone['p95_ms']:6.1f} ms, ratio {ratio:5.2f}, "
                f"{len(during)} answers, failed {dict(failed)}, attacker {dict(statuses)}, lost {lost}",
                flush=True,
            )
    return results


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--attack", default=[], type=comma_separated(str), help="names, separated by commas")
    parser.add_argument("--seconds", default=60.0, type=float, help="of each attack")
    parser.add_argument("--keys", default=[], type=comma_separated(str), help="of the client and of the attacker")
    parser.add_argument("--dashboard-port", default=8265, type=int, help="Ray's dashboard, to find the processes")
    arguments = parser.parse_args()
    if urlsplit(arguments.url).hostname not in ("127.0.0.1", "localhost", "::1"):
        parser.error("only a service on this machine is attacked")
    report("attacks", asyncio.run(measure(
        arguments.url, arguments.attack, arguments.seconds, arguments.keys, arguments.dashboard_port
    )))  # fmt: skip


if __name__ == "__main__":
    main()
