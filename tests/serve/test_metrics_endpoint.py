"""What Ray's Prometheus endpoint exports after known requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.serve.serve_fakes import APPLICATION, SPEECH, wait_until

EXPORTED_S = 60  # Ray's processes export every ten seconds


class Endpoint:
    """The current values of Ray's Prometheus endpoint."""

    def __init__(self) -> None:
        import ray

        node = ray.nodes()[0]
        self._url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        text = httpx.get(self._url, timeout=30, trust_env=False).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def endpoint(fakes: str) -> Endpoint:
    return Endpoint()


def replica_labels(deployment: str) -> dict[str, str]:
    """Return the labels of the one running replica; the endpoint still has the replicas of earlier tests."""
    from ray.serve.context import _get_global_client

    details = _get_global_client().get_serve_details()["applications"][APPLICATION]["deployments"][deployment]
    (replica,) = (replica for replica in details["replicas"] if replica["state"] == "RUNNING")
    return {"deployment": deployment, "replica": replica["replica_id"]}


@pytest.fixture
def settled(endpoint: Endpoint, stats: Callable[[str], Any]) -> Callable[[str], None]:
    """Wait until the endpoint has every request that the deployment's replica has finished."""

    def wait(deployment: str) -> None:
        def exported() -> bool:
            counted = endpoint.value("ray_parley_requests_total", outcome="finished", **replica_labels(deployment))
            return counted >= stats(deployment).finished > 0

        wait_until(exported, EXPORTED_S)

    return wait


def test_exports_requests_and_tokens(client: httpx.Client, endpoint: Endpoint, settled: Callable[[str], None]) -> None:
    def send() -> None:
        assert client.post("/chat", json={"text": "one two three"}).status_code == 200

    labels = replica_labels("TextLLM")

    def tokens() -> tuple[float, float]:
        return (
            endpoint.value("ray_parley_completion_tokens_total", **labels),
            endpoint.value("ray_parley_first_token_seconds_count", **labels),
        )

    send()
    settled("TextLLM")
    generated, answers = tokens()
    for _ in range(4):
        send()
    settled("TextLLM")
    assert tokens() == (generated + 4 * 3, answers + 4)
    assert endpoint.value("ray_parley_engine_active_requests", **labels) == 0


def test_exports_the_times_of_every_stage_of_a_spoken_turn(
    client: httpx.Client, endpoint: Endpoint, settled: Callable[[str], None]
) -> None:
    assert client.post("/chat?output=voice", content=SPEECH, headers={"Content-Type": "audio/wav"}).status_code == 200
    for stage in ("SpeechToText", "TextLLM", "TextToSpeech"):
        settled(stage)
        labels = replica_labels(stage)
        waits = endpoint.value("ray_parley_queue_wait_seconds_count", **labels)
        assert waits == endpoint.value("ray_parley_request_seconds_count", **labels) > 0
    for stage in ("SpeechToText", "TextToSpeech"):
        assert endpoint.value("ray_parley_real_time_factor_count", deployment=stage) > 0
        assert endpoint.value("ray_parley_audio_seconds_total", deployment=stage) > 0
    assert endpoint.value("ray_parley_first_audio_seconds_count", deployment="TextToSpeech") > 0


def test_counts_a_refusal_by_its_reason(client: httpx.Client, endpoint: Endpoint) -> None:
    def refusals() -> float:
        return endpoint.value("ray_parley_refusals_total", deployment="Gateway", reason="unsupported_media")

    before = refusals()
    refused = client.post("/chat", content=b"<svg/>", headers={"Content-Type": "image/svg+xml"})
    assert refused.json()["error"]["code"] == "unsupported_media"
    wait_until(lambda: refusals() >= before + 1, EXPORTED_S)
