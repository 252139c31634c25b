"""Every shipped configuration holds against the settings, without starting anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from deployments.settings import (
    AppArgs,
    ChatConfig,
    GatewayConfig,
    LlamaArgs,
    Settings,
    SpeechToTextConfig,
    TextToSpeechConfig,
)

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
        assert {"max_ongoing_requests", "max_queued_requests"} <= deployment.keys()
        assert ("num_replicas" in deployment) != ("autoscaling_config" in deployment)
        assert {"num_cpus", "num_gpus"} <= deployment["ray_actor_options"].keys()


def test_the_gateway_refuses_before_rays_proxy_does(config: dict[str, Any]) -> None:
    """The proxy's own refusals are plain text, and come late."""
    gateway = deployments(config)["Gateway"]
    places = GatewayConfig.model_validate(gateway.get("user_config") or {}).max_concurrent_requests
    assert gateway["max_queued_requests"] == -1
    assert gateway["max_ongoing_requests"] >= 8 * places


def test_whom_the_gateway_lets_in_no_stage_refuses(config: dict[str, Any]) -> None:
    """A request may have two recordings being heard, and two sentences being spoken, at a time."""
    places = GatewayConfig.model_validate(deployments(config)["Gateway"]["user_config"]).max_concurrent_requests
    for name, calls in (("SpeechToText", 2), ("TextLLM", 1), ("VisionLLM", 1), ("TextToSpeech", 2)):
        assert deployments(config)[name]["max_queued_requests"] >= calls * places


def test_a_deployment_that_scales_has_room_for_it(config: dict[str, Any]) -> None:
    """Replicas come before the places of those that are there run out, and leave when they have answered."""
    for deployment in deployments(config).values():
        if scaling := deployment.get("autoscaling_config"):
            assert "num_replicas" not in deployment
            assert scaling["min_replicas"] < scaling["max_replicas"]
            assert scaling["target_ongoing_requests"] < deployment["max_ongoing_requests"]
            assert deployment["graceful_shutdown_timeout_s"] >= 60


def test_a_chat_replica_holds_what_its_engine_holds(config: dict[str, Any]) -> None:
    args = AppArgs.model_validate(config["applications"][0]["args"])
    for name, engine in (("TextLLM", args.text_llm), ("VisionLLM", args.vision_llm)):
        assert isinstance(engine, LlamaArgs)
        assert deployments(config)[name]["max_ongoing_requests"] == engine.parallel + engine.max_waiting


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
