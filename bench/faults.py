"""What do clients see while the parts of a running service fail, and how long until every answer is right again?

    python -m bench.faults [--faults kill:TextLLM,stop:proxy,bad-config] [--mix rows] [--concurrency 4]

Method: a closed loop of ``--concurrency`` clients sends requests of ``--mix``; a client waits half a second after a
failure. Each fault is caused in turn, and undone once the service has recovered or ``--window-s`` has passed. The
service has recovered when every kind of request was answered correctly after the last failure, no request is late,
and every process is there again. GET /health is called every second. Faults:

- ``kill:P`` and ``stop:P``: SIGKILL or SIGSTOP to a process: the replica of a deployment, ``proxy`` or ``controller``.
- ``full-shm``, ``full-disk``: a file fills /dev/shm, or the folder of temporary files. Skipped if more than
  ``--max-fill-mib`` are free; run the service and this bench in a mount namespace with a small file system there.
- ``bad-config``: the user_config of every deployment has an invalid setting; undone with the previous configuration.
- ``drain``: all replicas are replaced by new ones while they have requests.

JSON, per fault: ``requests``, ``correct``; failed requests by how they failed: ``typed`` (429 or 503 with Retry-After
and OpenAI's error body), ``broken`` (an answer without its end), ``refused`` (no connection), ``hung`` (nothing for
``--timeout-s``), ``untyped`` (any other status), ``wrong`` (a 200 with another answer than on the idle service);
``back_s``, from the fault to the end of the last request that failed or took more than five seconds; ``slowest_s`` of
the correct answers; ``recovered``: without undoing the fault; ``works``: once it is undone; ``health``: answers of
/health by state, and how many of them were ``false_ready`` (200 while requests failed) or ``false_alarm`` (503 while
every kind of request was answered); memory, open files and processes ``before`` and ``after``. The exit status is 1
after a wrong answer or an untyped error, or if the service does not work afterwards.

The service must be on this machine, started by ``make serve``, and idle otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import aiohttp
import httpx
import psutil  # type: ignore[import-untyped]
import yaml

from bench.client import InvalidResponse, connect
from bench.command import URL, argument_parser, comma_separated, report
from bench.load import loopback
from bench.memory import MIB, Sampler, Snapshot, application, readable
from bench.workload import Call, Workload, kinds, parse_mix

ROOT = Path(__file__).resolve().parent.parent
TOKEN_FILE = ROOT / ".run" / "ray_token"
SERVED_CONFIG = ROOT / ".run" / "serve_config.yaml"
DEPLOYMENTS = ("SpeechToText", "TextLLM", "VisionLLM", "TextToSpeech", "Gateway")
TITLES = {"proxy": "ray::ProxyActor", "controller": "ray::ServeController"}
PROCESSES = (*DEPLOYMENTS, *TITLES)
OTHERS = ("full-shm", "full-disk", "bad-config", "drain")
NAMES = (*(f"kill:{name}" for name in PROCESSES), *(f"stop:{name}" for name in PROCESSES), *OTHERS)

PAUSE_S = 0.5  # of a client after a failure
LATE_S = 5.0
QUIET_S = 5.0  # without a failure, before the service counts as recovered
NEAR_S = 2.0  # from a poll of /health to the requests that it is compared with
READY = ("ready", "degraded")
GRACE_S = 2.0  # in which /health may still report the state before a fault
HEALTH_TIMEOUT_S = 15.0  # longer than health_timeout_s of the Gateway
SETTLE_POLL_S = 0.5
CONFIG_TIMEOUT_S = 30
MAX_DETAILS = 5

Failure = Literal["typed", "broken", "refused", "hung", "untyped", "wrong"]
FAILURES: tuple[Failure, ...] = ("typed", "broken", "refused", "hung", "untyped", "wrong")
Fault = Callable[[], AbstractAsyncContextManager[None]]


class Skipped(Exception):
    """A fault that cannot be caused here; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it started and ended, and how it failed, or ``None``."""

    kind: str
    due_s: float
    ended_s: float
    failure: Failure | None
    detail: str = ""

    @property
    def is_late(self) -> bool:
        return self.failure is not None or self.ended_s - self.due_s > LATE_S


@dataclass(frozen=True, slots=True)
class Poll:
    """One call of GET /health that ended at ``at_s``: ``ready``, ``degraded``, another status, or ``none``."""

    at_s: float
    state: str


class Load:
    """Clients in a closed loop, a poll of the service's health each second, and what both observed."""

    def __init__(self, client: httpx.AsyncClient, health: httpx.AsyncClient, workload: Workload) -> None:
        self._client = client
        self._health = health
        self._workload = workload
        self._started_s = time.perf_counter()
        self._in_flight: dict[int, float] = {}
        self.answers: list[Answer] = []
        self.polls: list[Poll] = []

    def now_s(self) -> float:
        return time.perf_counter() - self._started_s

    @property
    def oldest_s(self) -> float:
        """How long the oldest request in progress has taken so far."""
        return self.now_s() - min(self._in_flight.values(), default=self.now_s())

    @asynccontextmanager
    async def running(self, concurrency: int) -> AsyncIterator[None]:
        """Send requests while entered."""
        tasks = [asyncio.create_task(self._call_forever(number)) for number in range(concurrency)]
        tasks.append(asyncio.create_task(self._poll_forever()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result

    async def _call_forever(self, number: int) -> None:
        while True:
            kind, call = self._workload.next()
            due_s = self._in_flight[number] = self.now_s()
            failure, detail = await self._call(call)
            del self._in_flight[number]
            self.answers.append(Answer(kind, due_s, self.now_s(), failure, detail))
            if failure:
                await asyncio.sleep(PAUSE_S)

    async def _call(self, call: Call) -> tuple[Failure | None, str]:
        try:
            response = await call(self._client)
        except (httpx.HTTPError, InvalidResponse) as error:
            return failure_of(error), f"{type(error).__name__}: {error}"
        verdict = self._workload.verdict(call, response)
        if verdict == "correct":
            return None, ""
        if verdict == "rejected":
            return "typed", response.text
        return ("wrong" if verdict == "wrong" else "untyped"), f"{response.status} {response.text}"

    async def _poll_forever(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._poll())
                await asyncio.sleep(1)

    async def _poll(self) -> None:
        state = await health_state(self._health)
        self.polls.append(Poll(self.now_s(), state))


def failure_of(error: Exception) -> Failure:
    """Return how a request failed that raised ``error``."""
    if isinstance(error, httpx.TimeoutException):
        return "hung"
    return "refused" if isinstance(error.__cause__, aiohttp.ClientConnectorError) else "broken"


async def health_state(client: httpx.AsyncClient) -> str:
    """Return the state that GET /health reports; see ``Poll``."""
    try:
        response = await client.get("/health")
        if response.status_code != 200:
            return str(response.status_code)
        return str(json.loads(response.content)["status"])
    except (httpx.HTTPError, ValueError, KeyError):
        return "none"


def is_settled(answers: Sequence[Answer], kinds_: Iterable[str], since_s: float, now_s: float) -> bool:
    """Return whether every kind of request was answered correctly after the last late answer since ``since_s``."""
    last_late_s = max((answer.ended_s for answer in answers if answer.is_late), default=since_s)
    correct = {answer.kind for answer in answers if not answer.failure and answer.due_s >= max(last_late_s, since_s)}
    return now_s - max(last_late_s, since_s) >= QUIET_S and correct >= set(kinds_)


def false_polls(polls: Sequence[Poll], answers: Sequence[Answer], fault_s: float) -> tuple[int, int]:
    """Return how many polls said ready while requests failed, and how many said 503 while all kinds were answered."""
    since_s = fault_s + GRACE_S
    failing = [(max(a.due_s, since_s) - 0.5, a.ended_s + 0.5) for a in answers if a.failure and a.ended_s > since_s]
    kinds_ = {answer.kind for answer in answers}

    def answered(at_s: float) -> bool:
        near = {a.kind for a in answers if not a.failure and at_s - NEAR_S <= a.due_s and a.ended_s <= at_s + NEAR_S}
        return near == kinds_

    ready = [p for p in polls if p.state in READY and any(start_s <= p.at_s <= end_s for start_s, end_s in failing)]
    alarms = [p for p in polls if p.state == "503" and p.at_s > since_s and answered(p.at_s)]
    return len(ready), len(alarms)


@dataclass(slots=True)
class Outcome:
    """What one fault caused. The module's docstring describes the fields."""

    fault: str
    requests: int = 0
    correct: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    back_s: float = 0.0
    slowest_s: float = 0.0
    recovered: bool = False
    works: bool = False
    health: dict[str, Any] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def is_acceptable(self) -> bool:
        return bool(self.skipped) or (self.works and not {"wrong", "untyped"} & self.failed.keys())


def outcome(fault: str, answers: Sequence[Answer], polls: Sequence[Poll], fault_s: float) -> Outcome:
    """Return the figures of the requests and the polls that ended after ``fault_s``."""
    answers = [answer for answer in answers if answer.ended_s >= fault_s]
    polls = [poll for poll in polls if poll.at_s >= fault_s]
    failed = Counter(answer.failure for answer in answers if answer.failure)
    correct = [answer for answer in answers if not answer.failure]
    late_s = [answer.ended_s for answer in answers if answer.is_late]
    ready, alarm = false_polls(polls, answers, fault_s)
    details = [
        f"{answer.failure}: {answer.kind}: {answer.detail[:200]}"
        for answer in answers
        if answer.failure in ("wrong", "untyped")
    ]
    return Outcome(
        fault,
        requests=len(answers),
        correct=len(correct),
        failed={name: failed[name] for name in FAILURES if failed[name]},
        back_s=round(max(late_s) - fault_s, 1) if late_s else 0.0,
        slowest_s=round(max((answer.ended_s - answer.due_s for answer in correct), default=0.0), 1),
        health={**Counter(poll.state for poll in polls), "false_ready": ready, "false_alarm": alarm},
        details=details[:MAX_DETAILS],
    )


class Bench:
    """Causes faults in the service behind a dashboard port, one after another."""

    def __init__(self, load: Load, sampler: Sampler, options: argparse.Namespace, kinds_: Iterable[str]) -> None:
        self._load = load
        self._sampler = sampler
        self._options = options
        self._kinds = set(kinds_)
        self._names = present(options.dashboard_port)

    async def cause(self, name: str, fault: Fault) -> Outcome:
        """Cause a fault, wait until the service has recovered, and undo the fault."""
        before = usage(await self._sampler.take())
        fault_s = self._load.now_s()
        try:
            async with fault():
                recovered = await self._settle(fault_s)
        except Skipped as reason:
            return Outcome(name, skipped=str(reason))
        works = recovered if name.startswith("kill:") else await self._settle(self._load.now_s())
        found = outcome(name, self._load.answers, self._load.polls, fault_s)
        found.recovered, found.works = recovered, works
        found.before, found.after = before, usage(await self._sampler.take())
        return found

    async def _settle(self, since_s: float) -> bool:
        """Wait until the service has recovered; return whether it has."""
        while self._load.now_s() < since_s + self._options.window_s:
            await asyncio.sleep(SETTLE_POLL_S)
            now_s = self._load.now_s()
            settled = is_settled([a for a in self._load.answers if a.ended_s >= since_s], self._kinds, since_s, now_s)
            if settled and self._load.oldest_s < LATE_S and now_s - since_s >= self._options.minimum_s:
                there = await asyncio.to_thread(present, self._options.dashboard_port)
                if there >= self._names:
                    return True
        return False


def usage(snapshot: Snapshot) -> dict[str, float]:
    """Return the sums of a snapshot."""
    return {
        "pss_mib": round(snapshot.pss_mib),
        "handles": snapshot.handles,
        "processes": len(snapshot.processes),
    }


def present(port: int) -> set[str]:
    """Return which of ``PROCESSES`` run."""
    try:
        titles = [title_of(process) for process in application(port)]
    except (LookupError, psutil.Error):
        return set()
    return {name for name in PROCESSES if any(is_process(title, name) for title in titles)}


def title_of(process: psutil.Process) -> str:
    try:
        return readable(process.cmdline())
    except psutil.Error:
        return ""


def is_process(title: str, name: str) -> bool:
    """Return whether a process with this title is one of ``PROCESSES``."""
    if name in TITLES:
        return title.startswith(TITLES[name])
    return title.startswith("ray::ServeReplica:") and title.rpartition(":")[2] == name


@asynccontextmanager
async def signalled(port: int, name: str, number: signal.Signals) -> AsyncIterator[None]:
    """Send a signal to a process of the service; continue stopped ones at the end, if they still exist."""
    found = await asyncio.to_thread(application, port)
    targets = [process for process in found if is_process(title_of(process), name)]
    if not targets:
        raise Skipped(f"there is no process of {name}")
    try:
        for process in targets:
            process.send_signal(number)
        yield
    finally:
        for process in targets:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def full(folder: Path, max_bytes: int) -> AsyncIterator[None]:
    """Fill the file system of ``folder`` with a file, which is removed at the end."""
    free = shutil.disk_usage(folder).free
    if free > max_bytes:
        raise Skipped(f"{free // MIB:,} MiB are free in {folder}, more than --max-fill-mib {max_bytes // MIB:,}")
    with tempfile.NamedTemporaryFile(dir=folder, prefix="parley-bench-full-") as file:
        await asyncio.to_thread(fill, file.fileno(), max_bytes)
        yield


def fill(descriptor: int, max_bytes: int) -> None:
    """Append to a file until no space is left on its file system, or ``max_bytes`` are written."""
    chunk = bytes(MIB)
    for _ in range(max_bytes // MIB + 1):
        try:
            if os.write(descriptor, chunk) < MIB:
                return
        except OSError:
            return


class Dashboard:
    """The Serve REST API of Ray's dashboard."""

    def __init__(self, port: int, token_file: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/serve/applications/"
        self._headers = {"Authorization": f"Bearer {token_file.read_text().strip()}"} if token_file.exists() else {}

    async def put(self, config: Mapping[str, Any]) -> None:
        """Deploy a configuration. Raise ``RuntimeError`` if the dashboard refuses it."""
        async with httpx.AsyncClient(trust_env=False, timeout=CONFIG_TIMEOUT_S) as client:
            response = await client.put(self._url, json=config, headers=self._headers)
        if response.status_code != 200:
            raise RuntimeError(f"the dashboard returned {response.status_code}: {response.text[:500]}")


@asynccontextmanager
async def deployed(
    dashboard: Dashboard, config: Mapping[str, Any], afterwards: Mapping[str, Any]
) -> AsyncIterator[None]:
    """Deploy a configuration, and another one at the end."""
    await dashboard.put(config)
    try:
        yield
    finally:
        await dashboard.put(afterwards)


def with_bad_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with a setting in every deployment's ``user_config`` that does not exist."""
    changed = copy.deepcopy(dict(config))
    for deployment in changed["applications"][0]["deployments"]:
        deployment["user_config"] = (deployment.get("user_config") or {}) | {"no_such_setting": 1}
    return changed


def with_new_replicas(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that replaces every replica: Ray does so for a change of ``ray_actor_options``."""
    changed = copy.deepcopy(dict(config))
    for deployment in changed["applications"][0]["deployments"]:
        options = deployment.setdefault("ray_actor_options", {})
        options["num_cpus"] = options.get("num_cpus", 1) - 0.001
    return changed


def fault(name: str, options: argparse.Namespace) -> Fault:
    """Return the fault with this name."""
    port, max_bytes = options.dashboard_port, options.max_fill_mib * MIB
    kind, _, process = name.partition(":")
    if process:
        number = signal.SIGKILL if kind == "kill" else signal.SIGSTOP
        return partial(signalled, port, process, number)
    if name == "full-shm":
        return partial(full, Path("/dev/shm"), max_bytes)
    if name == "full-disk":
        return partial(full, Path(tempfile.gettempdir()), max_bytes)
    dashboard, config = Dashboard(port, options.token_file), yaml.safe_load(options.served_config.read_text())
    changed = with_bad_settings(config) if name == "bad-config" else with_new_replicas(config)
    return partial(deployed, dashboard, changed, config)


async def measure(options: argparse.Namespace) -> list[Outcome]:
    """Record the references, then cause each fault under load."""
    calls = kinds()
    weights = parse_mix(options.mix, list(calls))
    workload = Workload(calls, weights, options.seed)
    outcomes: list[Outcome] = []
    async with (
        connect(options.url, timeout_s=options.timeout_s) as client,
        httpx.AsyncClient(base_url=options.url, timeout=HEALTH_TIMEOUT_S, trust_env=False) as health,
    ):
        await workload.record_references(client)
        load = Load(client, health, workload)
        bench = Bench(load, Sampler(options.dashboard_port, period_s=60), options, weights)
        async with load.running(options.concurrency):
            outcomes.append(await bench.cause("none", nothing))
            for name in options.faults:
                if load.now_s() > options.seconds:
                    outcomes.append(Outcome(name, skipped=f"--seconds {options.seconds:g} have passed"))
                else:
                    outcomes.append(await bench.cause(name, fault(name, options)))
                print(row(outcomes[-1]), file=sys.stderr, flush=True)
    return outcomes


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    """No fault: the load alone."""
    yield


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as the rows of a Markdown table."""
    head = (
        "| fault | requests | failed | back after | slowest correct | /health | memory, MiB | open files | processes |"
    )
    return "\n".join([head, "|" + " --- |" * 9, *map(row, outcomes)])


def row(found: Outcome) -> str:
    """Return one outcome as a row of a Markdown table."""
    if found.skipped:
        return f"| {found.fault} | skipped: {found.skipped} | | | | | | | |"
    failed = ", ".join(f"{count} {name}" for name, count in found.failed.items()) or "none"
    health = ", ".join(f"{count} {name}" for name, count in found.health.items() if count)
    changes = (f"{found.before[name]:,.0f} → {found.after[name]:,.0f}" for name in ("pss_mib", "handles", "processes"))
    back = f"{found.back_s:.1f} s" if found.recovered else "not by itself"
    cells = [found.fault, str(found.requests), failed, back, f"{found.slowest_s:.1f} s", health, *changes]
    return f"| {' | '.join(cells)} |"


def fault_name(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"unknown fault {name!r}; valid: {', '.join(NAMES)}")
    return name


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--url", default=URL, type=loopback)
    parser.add_argument("--dashboard-port", default=8265, type=int, help="Ray's dashboard, to find the processes")
    parser.add_argument("--token-file", default=TOKEN_FILE, type=Path, help="the token of Ray's ports")
    parser.add_argument("--served-config", default=SERVED_CONFIG, type=Path, help="the configuration that is served")
    parser.add_argument("--faults", default=list(NAMES), type=comma_separated(fault_name))
    parser.add_argument("--mix", default="rows", help="kinds of requests, with weights, as in bench.load")
    parser.add_argument("--concurrency", default=4, type=int, choices=range(1, 65), metavar="N")
    parser.add_argument("--minimum-s", default=10.0, type=float, help="duration of each fault at least")
    parser.add_argument("--window-s", default=90.0, type=float, help="time to recover, after which a fault is undone")
    parser.add_argument("--seconds", default=900.0, type=float, help="no further fault is caused after this time")
    parser.add_argument("--timeout-s", default=60.0, type=float, help="time without data after which a request hangs")
    parser.add_argument("--max-fill-mib", default=4096, type=int, help="largest file that fills a file system")
    parser.add_argument("--seed", default=1, type=int, help="of the order of requests")
    options = parser.parse_args()
    outcomes = asyncio.run(measure(options))
    print(table(outcomes))
    report("faults", {"concurrency": options.concurrency, "mix": options.mix, "faults": [asdict(o) for o in outcomes]})
    for found in outcomes:
        for detail in found.details:
            print(f"{found.fault}: {detail}", file=sys.stderr)
    return 0 if all(found.is_acceptable for found in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
