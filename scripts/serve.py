"""Serve a configuration: ``serve.py serve_config.yaml``; stop it: ``serve.py --stop``.

Checks what commonly prevents a start, and prints a remedy. Pulls the models that the configuration names, runs
``serve run`` as a child process, polls Ray's dashboard until the application is RUNNING, and prints the addresses.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deployments.settings import explain, resolve  # noqa: E402
from graphs.http.auth import ApiKeys  # noqa: E402
from graphs.http.server import BODY_VARIABLE, UPLOAD_VARIABLE  # noqa: E402
from graphs.http.shedding import LIMIT_VARIABLE  # noqa: E402
from graphs.settings import AppArgs, GatewayConfig  # noqa: E402
from models import progress  # noqa: E402
from models.configuration import pull_configuration  # noqa: E402
from models.errors import ModelError, PullFailed  # noqa: E402
from scripts import ray_sessions  # noqa: E402

RUN_FOLDER = ROOT / ".run"
PID_FILE = RUN_FOLDER / "serve.pid"
TOKEN_FILE = RUN_FOLDER / "ray_token"  # who has it can run code on this machine
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # for Ray's ports: its job API and its replicas run what they are sent
    "RAY_AUTH_TOKEN_PATH": str(TOKEN_FILE),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all of Ray's own ports on the loopback, as on a laptop
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",  # a replica downloads nothing: ``pull_models`` has
    # About 1.5 times as many streams per second as over Ray's object store (docs/benchmarks.md). No message limit,
    # because the Gateway's settings limit requests, and a minute of audio is near Ray's limit of 4 MiB.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": "-1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "graphs.http.proxy.middlewares",
    # A replica that hangs is killed at once: it would not complete its requests in graceful_shutdown_timeout_s.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    # Ray's default of 10 replaces a proxy that died after 25 s. One that hangs is still replaced after three timeouts.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # Ray's default is 15 for all replicas. Only models should have a lower priority, by their setting niceness.
    "RAY_worker_niceness": "0",
    # Fewer malloc arenas: memory that one thread has freed is available to the other threads.
    "MALLOC_ARENA_MAX": "2",
}
SERVED_CONFIG = RUN_FOLDER / "serve_config.yaml"  # the configuration with the overrides applied
DASHBOARD_PORT = 8265
KILL_AFTER_S = 30  # Serve shuts down faster, unless a Gateway behind HAProxy waits for its clients to disconnect
STOP_TIMEOUT_S = 2 * KILL_AFTER_S
START_TIMEOUT_S = float(os.environ.get("PARLEY_START_TIMEOUT_S", "600"))
MIN_FREE_DISK_BYTES = 2 * 1024**3


class CannotStart(Exception):
    """The service cannot start; the message has the cause and a remedy."""


class RayEnded(CannotStart):
    """Ray ended before it reported a state of the application."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default="serve_config.yaml", type=Path)
    parser.add_argument("--host", help="address to listen on, in place of http_options.host")
    parser.add_argument("--port", type=int, help="port to listen on, in place of http_options.port")
    parser.add_argument("--open", action="store_true", help="serve other machines without API keys")
    parser.add_argument("--stop", action="store_true", help="stop what `make serve` started")
    arguments = parser.parse_args()
    try:
        if arguments.stop:
            return stop()
        listen = {"host": arguments.host, "port": arguments.port}
        return serve(arguments.config, listen, open_to_all=arguments.open)
    except CannotStart as problem:
        print(f"parley: {problem}", file=sys.stderr)
        return 1


def serve(config: Path, overrides: dict[str, Any], *, open_to_all: bool) -> int:
    """Serve until interrupted. Return the exit code: 0 after an interrupt."""
    settings = load(config)
    http = {"host": "127.0.0.1", "port": 8000} | (settings.get("http_options") or {})
    http |= {key: value for key, value in overrides.items() if value is not None}
    protected = has_keys(settings)
    if not (open_to_all or is_loopback(http["host"]) or protected):
        raise CannotStart(
            f"{http['host']} is reachable from other machines, and there are no API keys. Set PARLEY_API_KEYS or "
            "args.gateway.api_keys_file; or, to serve everyone: make serve OPEN=yes"
        )
    require_token_mode()
    ray_sessions.remove_old()
    preflight(http["host"], http["port"])
    pull_models(settings)
    RUN_FOLDER.mkdir(exist_ok=True)
    SERVED_CONFIG.write_text(yaml.safe_dump(settings | {"http_options": http}, sort_keys=False))
    for variable, limit in proxy_limits(settings).items():
        os.environ.setdefault(variable, str(limit))
    create_token()
    PID_FILE.write_text(str(os.getpid()))
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may start background processes with SIGINT ignored
        signal.signal(number, interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        child = start(children)
        print(welcome(http["host"], http["port"]), flush=True)
        return child.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for child in children:
            end(child)
        PID_FILE.unlink(missing_ok=True)


def start(children: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Return the serving child process once the application is RUNNING. Append all started processes to ``children``.

    On a slow machine with cold files Ray's first node may give up after 15 s (ray-project/ray#65983). A second start,
    with the files cached, succeeds.
    """
    for last in (False, True):
        child = subprocess.Popen(
            [str(Path(sys.executable).with_name("serve")), "run", str(SERVED_CONFIG)],
            cwd=ROOT,
            env=ENVIRONMENT | os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,  # so that Ctrl-C reaches it only through ``end``
        )
        children.append(child)
        try:
            wait_until_running(child)
            return child
        except RayEnded:
            if last:
                raise
            print("parley: Ray did not start; trying once more", file=sys.stderr)
    raise AssertionError


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def load(config: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(config.read_text())
    except FileNotFoundError:
        raise CannotStart(
            f"{config} does not exist; the shipped files are serve_config.yaml and configs/*.yaml"
        ) from None
    except yaml.YAMLError as error:
        raise CannotStart(f"{config} is not YAML: {error}") from None
    if not isinstance(read, dict):
        raise CannotStart(f"{config} contains no mapping; serve_config.yaml is an example")
    return read


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_limits(settings: dict[str, Any]) -> dict[str, int]:
    """Return the limits of Ray's proxy, by the variables that set them, so that it refuses what the Gateway would.

    The number of concurrent requests is that of all Gateway replicas; 0, if it is not known, is no limit.
    """
    try:
        deployments = settings["applications"][0].get("deployments") or []
        gateway: dict[str, Any] = next((d for d in deployments if d.get("name") == "Gateway"), {})
        config = GatewayConfig.model_validate(gateway.get("user_config") or {})
    except ValidationError as error:
        raise CannotStart(f"user_config of Gateway: {explain(error)}") from None
    except LookupError:
        raise CannotStart("the configuration has no application") from None
    replicas = (gateway.get("autoscaling_config") or {}).get("max_replicas") or gateway.get("num_replicas") or 1
    return {
        LIMIT_VARIABLE: replicas * config.max_concurrent_requests if isinstance(replicas, int) else 0,
        BODY_VARIABLE: config.max_body_bytes,
        UPLOAD_VARIABLE: config.max_upload_bytes,
    }


def has_keys(settings: dict[str, Any]) -> bool:
    """Return whether the Gateway of these settings requires API keys."""
    try:
        file = AppArgs.model_validate(settings["applications"][0].get("args") or {}).gateway.api_keys_file
        return bool(ApiKeys.load(resolve(file) if file else None))
    except (ValueError, OSError, LookupError) as error:
        raise CannotStart(str(error)) from None


def require_token_mode() -> None:
    """Raise ``CannotStart`` if the environment turns off Ray's token, as it has precedence over ``ENVIRONMENT``."""
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode != "token":
        raise CannotStart(
            f"RAY_AUTH_MODE is '{mode}' in this environment: every program that reaches Ray's ports could run code "
            "here. Unset it, or set it to token"
        )


def preflight(host: str, port: int) -> None:
    """Raise ``CannotStart`` for problems that Ray reports late or not at all."""
    for wanted, where, remedy in (
        (port, host, "choose another: make serve PORT=8001"),
        (
            DASHBOARD_PORT,
            "127.0.0.1",
            "`make stop`, or `ray stop`, ends an earlier Ray; the port is that of its dashboard",
        ),
    ):
        if is_in_use(where, wanted):
            raise CannotStart(f"port {wanted} is in use by another program. Stop it, or: {remedy}")
    free = shutil.disk_usage("/tmp").free
    if free < MIN_FREE_DISK_BYTES:
        raise CannotStart(f"only {free / 1024**3:.1f} GiB free in /tmp, where Ray writes; it needs at least 2 GiB")


def pull_models(settings: dict[str, Any]) -> None:
    """Pull the models that the configuration names. A replica downloads none of them."""
    try:
        pull_configuration(settings, progress.for_stream())
    except PullFailed as problem:
        raise CannotStart(
            f"{problem}\n  The bundled models need no download: CONFIG=configs/pocket.yaml make serve"
        ) from None
    except ModelError as problem:
        raise CannotStart(str(problem)) from None


def is_in_use(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def wait_until_running(child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    state = ""
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise (CannotStart if state else RayEnded)("Ray Serve ended; see its last lines above")
        state, message = application_state()
        if state == "RUNNING":
            return
        if state in ("DEPLOY_FAILED", "UNHEALTHY"):
            raise CannotStart(f"the application is {state}:\n{message}")
        time.sleep(0.5)
    raise CannotStart(f"not RUNNING after {START_TIMEOUT_S:.0f} s; PARLEY_START_TIMEOUT_S sets a longer limit")


def application_state() -> tuple[str, str]:
    """Return (status, message) of the application; ("", "") while the dashboard does not respond yet."""
    try:
        with urllib.request.urlopen(dashboard_request("/api/serve/applications/"), timeout=5) as answer:
            applications = json.load(answer)["applications"]
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return "", ""
    for application in applications.values():
        return application["status"], application["message"]
    return "", ""


def dashboard_request(path: str) -> urllib.request.Request:
    """Return a request to Ray's dashboard with the token."""
    return urllib.request.Request(
        f"http://127.0.0.1:{DASHBOARD_PORT}{path}", headers={"Authorization": f"Bearer {token()}"}
    )


def token() -> str:
    """Return Ray's token, from the places in which Ray looks for it; "" if there is none."""
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", TOKEN_FILE))
    return os.environ.get("RAY_AUTH_TOKEN") or (file.read_text().strip() if file.exists() else "")


def create_token(path: Path = TOKEN_FILE) -> None:
    """Write a new token for Ray's ports, readable by this user only."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))


def welcome(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return (
        f"\nParley is RUNNING.\n"
        f"  talk       http://{shown}:{port}/\n"
        f"  service    http://{shown}:{port}/chat\n"
        f"  documents  http://{shown}:{port}/docs\n"
        f"  dashboard  http://127.0.0.1:{DASHBOARD_PORT}/#/serve\n\n"
        f"  curl -s http://{shown}:{port}/chat -F text='What is the capital of France?'\n\n"
        f"Ctrl-C, or `make stop` in another terminal, ends it.\n"
    )


def stop() -> int:
    try:
        pid = int(PID_FILE.read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        PID_FILE.unlink(missing_ok=True)
        print("No service of `make serve` is running here. A Ray head that you started yourself ends with `ray stop`.")
        return 0
    until_s = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < until_s:
        if not PID_FILE.exists() and not is_in_use("127.0.0.1", DASHBOARD_PORT):  # Ray's processes end a little later
            print("Stopped.")
            return 0
        time.sleep(0.5)
    raise CannotStart(f"process {pid} does not end; `kill -9 {pid}` and `ray stop` force it to end")


def end(child: subprocess.Popen[bytes]) -> None:
    """Stop a child process with SIGINT, and kill its process group if that takes too long."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(timeout=KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
