"""Stock clients of the Realtime API, unmodified, over Ray Serve with fake engines: a voice turn and an interruption."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from talk.sound import load
from tests.e2e import node
from tests.serve.serve_fakes import DATA
from tests.serve.tls import certificate, terminator
from tests.stock import environment


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a recording as clients send it: 16-bit samples at 24 kHz."""
    path = tmp_path_factory.mktemp("speech") / "question.pcm"
    path.write_bytes(load(DATA / "question.wav").tobytes())
    return str(path)


def socket_url(service: str) -> str:
    return service.replace("http", "ws", 1) + "/v1/realtime"


def test_openai_agents(fakes: str, speech: str) -> None:
    found = environment.run("agents_python.py", f"{socket_url(fakes)}?model=gpt-realtime", speech)
    assert found["errors"] == []
    assert found["audio_bytes"] > 10_000
    assert "audio_interrupted" in found["events"]
    roles = [item["role"] for item in found["history"]]
    assert roles[:3] == ["user", "assistant", "user"]


def test_pipecat(fakes: str, speech: str) -> None:
    found = environment.run("pipecat_service.py", socket_url(fakes), speech)
    assert found["errors"] == []
    assert found["first_bytes"] > 0
    assert found["audio_bytes"] > found["first_bytes"]
    assert found["interruptions"] > 0
    assert any(transcript.startswith("it lasted") for transcript in found["transcripts"])


def test_openai_agents_and_openai_for_node(fakes: str, speech: str, tmp_path: Path) -> None:
    both = certificate(tmp_path)
    port = urlsplit(fakes).port
    assert port is not None
    with terminator(port, both) as secure_port:
        url = f"{socket_url(fakes)}?model=gpt-realtime"
        command = ["node", str(node.HOME / "agents_realtime.js"), url, f"localhost:{secure_port}", speech]
        done = subprocess.run(
            command,
            env=node.environment() | {"NODE_EXTRA_CA_CERTS": str(tmp_path / "cert.pem")},
            cwd=node.HOME,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["agents"]["errors"] == []
    assert found["agents"]["audioBytes"] > 10_000
    assert found["agents"]["interruptions"] == 1
    last = found["agents"]["history"][-1]
    assert (last["role"], last["status"]) == ("assistant", "completed")
    assert last["content"][0]["transcript"].startswith("it lasted")
    assert found["stock"]["status"] == "completed"
    assert found["stock"]["events"][:2] == ["session.created", "session.updated"]
