"""Every shipped configuration is valid, and its limits fit each other. Nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.engines.registry import entry_of
from deployments.engines.whisper.settings import WhisperConfig
from deployments.settings import ChatConfig, Settings
from graphs.settings import AppArgs, GatewayConfig
from models import catalogue

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = [ROOT / "serve_config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]
ENGINE_ARGS = {
    "SpeechToText": "speech_to_text",
    "TextLLM": "text_llm",
    "VisionLLM": "vision_llm",
    "TextToSpeech": "text_to_speech",
}
NAMES = {*ENGINE_ARGS, "Gateway"}


@pytest.fixture(params=SHIPPED, ids=lambda path: path.name)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return yaml.safe_load(request.param.read_text())


def default() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "serve_config.yaml").read_text())


def pocket() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "configs" / "pocket.yaml").read_text())


def deployments(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {d["name"]: d for d in config["applications"][0]["deployments"]}


def args_of(config: dict[str, Any]) -> AppArgs:
    return AppArgs.model_validate(config["applications"][0]["args"])


def live_settings(config: dict[str, Any]) -> dict[str, Settings]:
    """Return the live settings of every deployment, validated by the class that its replicas use."""
    args = args_of(config)
    kinds: dict[str, type[Settings]] = {"Gateway": GatewayConfig}
    kinds |= {name: entry_of(getattr(args, field)).config for name, field in ENGINE_ARGS.items()}
    return {
        name: kind.model_validate(deployments(config)[name].get("user_config") or {}) for name, kind in kinds.items()
    }


def test_ray_serve_accepts_the_file(config: dict[str, Any]) -> None:
    ServeDeploySchema.model_validate(config)


def test_the_arguments_are_valid(config: dict[str, Any]) -> None:
    args_of(config)


def test_the_live_settings_are_valid_for_the_configured_engines(config: dict[str, Any]) -> None:
    assert live_settings(config).keys() == NAMES == deployments(config).keys()


def test_live_settings_are_those_of_the_configured_engine() -> None:
    live = live_settings(default())
    assert type(live["SpeechToText"]) is WhisperConfig
    assert type(live["TextLLM"]) is type(live["VisionLLM"]) is LlamaConfig
    with_fake = pocket()
    with_fake["applications"][0]["args"]["text_llm"] = {"engine": "fake"}
    assert type(live_settings(with_fake)["TextLLM"]) is ChatConfig
    deployments(with_fake)["TextLLM"]["user_config"]["top_k"] = 40  # a setting of llama.cpp
    with pytest.raises(ValidationError, match="top_k"):
        live_settings(with_fake)


def test_every_deployment_sets_its_resources_and_the_limits_of_its_queues(config: dict[str, Any]) -> None:
    for name in NAMES:
        deployment = deployments(config)[name]
        assert {"max_ongoing_requests", "max_queued_requests"} <= deployment.keys()
        assert ("num_replicas" in deployment) != ("autoscaling_config" in deployment)
        assert {"num_cpus", "num_gpus"} <= deployment["ray_actor_options"].keys()


def test_a_replica_that_hangs_is_replaced_within_a_minute(config: dict[str, Any]) -> None:
    """Ray replaces a replica after three failed checks in a row; a new one needs up to 20 s to start."""
    for name, deployment in deployments(config).items():
        limit_s = 20 if name == "Gateway" else 40  # the callers of a Gateway that hangs wait until then
        assert deployment["health_check_period_s"] + 3 * deployment["health_check_timeout_s"] <= limit_s


def test_the_gateway_refuses_requests_before_rays_proxy_does(config: dict[str, Any]) -> None:
    """The proxy refuses in plain text, and only after a wait."""
    gateway = deployments(config)["Gateway"]
    limit = GatewayConfig.model_validate(gateway.get("user_config") or {}).max_concurrent_requests
    assert gateway["max_queued_requests"] == -1
    assert gateway["max_ongoing_requests"] >= 8 * limit


def test_every_deployment_can_queue_all_requests_that_the_gateway_accepts(config: dict[str, Any]) -> None:
    """A request has up to two recordings that are transcribed, and two sentences that are synthesized, concurrently."""
    limit = GatewayConfig.model_validate(deployments(config)["Gateway"]["user_config"]).max_concurrent_requests
    for name, calls in (("SpeechToText", 2), ("TextLLM", 1), ("VisionLLM", 1), ("TextToSpeech", 2)):
        assert deployments(config)[name]["max_queued_requests"] >= calls * limit


def test_a_deployment_scales_before_its_replicas_are_full_and_drains_them(config: dict[str, Any]) -> None:
    for deployment in deployments(config).values():
        if scaling := deployment.get("autoscaling_config"):
            assert "num_replicas" not in deployment
            assert scaling["min_replicas"] < scaling["max_replicas"]
            assert scaling["target_ongoing_requests"] < deployment["max_ongoing_requests"]
            assert deployment["graceful_shutdown_timeout_s"] >= 60


def test_a_gateway_that_stops_completes_its_answers(config: dict[str, Any]) -> None:
    """Those of live talk are closed five seconds before, so that their clients hear why."""
    gateway = deployments(config)["Gateway"]
    limit_s = GatewayConfig.model_validate(gateway.get("user_config") or {}).request_timeout_s
    assert gateway["graceful_shutdown_timeout_s"] >= limit_s + 10


def test_a_chat_replica_accepts_as_many_requests_as_its_engine(config: dict[str, Any]) -> None:
    args = args_of(config)
    for name, engine in (("TextLLM", args.text_llm), ("VisionLLM", args.vision_llm)):
        assert isinstance(engine, LlamaArgs)
        assert deployments(config)[name]["max_ongoing_requests"] == engine.parallel + engine.max_waiting


def test_gpu_shares_add_up_to_whole_gpus(config: dict[str, Any]) -> None:
    shares = [d["ray_actor_options"]["num_gpus"] * d.get("num_replicas", 1) for d in deployments(config).values()]
    assert sum(shares) == pytest.approx(round(sum(shares)))


def test_there_is_no_runtime_environment(config: dict[str, Any]) -> None:
    assert "runtime_env" not in config["applications"][0]


@pytest.mark.parametrize("config", [default(), pocket()], ids=["default", "pocket"])
def test_the_configuration_fits_two_cores(config: dict[str, Any]) -> None:
    shares = [d["ray_actor_options"]["num_cpus"] * d["num_replicas"] for d in deployments(config).values()]
    assert sum(shares) <= 2


PATHS = ("model", "mmproj", "config", "vocoder", "vocoder_config")


def models_of(config: dict[str, Any]) -> list[str]:
    args = args_of(config)
    engines = (args.speech_to_text, args.text_llm, args.vision_llm, args.text_to_speech)
    return [value for engine in engines for name in PATHS if (value := getattr(engine, name, None))]


def test_the_pocket_configuration_needs_no_download() -> None:
    assert catalogue.named_in(pocket()) == []
    assert len(models_of(pocket())) >= 8
    assert [path for path in models_of(pocket()) if not (ROOT / path).exists()] == []


def test_the_default_has_models_of_the_catalogue_that_have_been_verified() -> None:
    named = catalogue.named_in(default())
    assert named == ["whisper-base", "smollm2-135m-instruct", "smart-turn-v3"]
    assert [name for name in named if not catalogue.entry(name).verified] == []
    assert [path for path in models_of(default()) if path not in named and not (ROOT / path).exists()] == []
