"""Every shipped configuration holds against the settings, without starting anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from deployments.settings import AppArgs, ChatConfig, GatewayConfig, Settings, SpeechToTextConfig, TextToSpeechConfig

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = [ROOT / "serve_config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
LIVE: dict[str, type[Settings]] = {
    "SpeechToText": SpeechToTextConfig,
    "TextLLM": ChatConfig,
    "VisionLLM": ChatConfig,
    "TextToSpeech": TextToSpeechConfig,
    "Gateway": GatewayConfig,
}


@pytest.fixture(params=SHIPPED, ids=lambda path: path.name)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


def deployments(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {d["name"]: d for d in config["applications"][0]["deployments"]}


def test_ray_serve_accepts_the_file(config: dict[str, Any]) -> None:
    ServeDeploySchema.model_validate(config)


def test_every_argument_is_a_setting(config: dict[str, Any]) -> None:
    AppArgs.model_validate(config["applications"][0]["args"])


def test_every_live_setting_is_a_setting(config: dict[str, Any]) -> None:
    for name, model in LIVE.items():
        model.model_validate(deployments(config)[name].get("user_config") or {})


def test_every_deployment_says_its_share_and_its_queues(config: dict[str, Any]) -> None:
    for name in LIVE:
        deployment = deployments(config)[name]
        assert {"num_replicas", "max_ongoing_requests", "max_queued_requests"} <= deployment.keys() or (
            "autoscaling_config" in deployment
        )
        assert {"num_cpus", "num_gpus"} <= deployment["ray_actor_options"].keys()


def test_gpu_shares_add_up_to_whole_cards(config: dict[str, Any]) -> None:
    shares = [d["ray_actor_options"]["num_gpus"] * d.get("num_replicas", 1) for d in deployments(config).values()]
    assert sum(shares) == pytest.approx(round(sum(shares)))


def test_there_is_no_runtime_environment(config: dict[str, Any]) -> None:
    assert "runtime_env" not in config["applications"][0]


def test_the_default_runs_on_two_cores() -> None:
    default = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    shares = [d["ray_actor_options"]["num_cpus"] * d["num_replicas"] for d in deployments(default).values()]
    assert sum(shares) <= 2


PATHS = ("model", "mmproj", "config", "vocoder", "vocoder_config", "language_model")


def test_the_default_needs_no_network() -> None:
    default = AppArgs.model_validate(
        yaml.safe_load((ROOT / "serve_config.yaml").read_text())["applications"][0]["args"]
    )
    models = (default.speech_to_text, default.text_llm, default.vision_llm, default.text_to_speech)
    paths = [path for args in models for name in PATHS if (path := getattr(args, name, None))]
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
