"""The engines that Parley has. The unions of settings, the configuration page and the contract test derive from it.

Importing this module loads no engine's library: an engine's class is named by a string and imported by its replica.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, cast

from pydantic import Field

from deployments.engines.base import ChatModel, Recognizer, Synthesizer
from deployments.engines.coqui.settings import CoquiArgs
from deployments.engines.fake.settings import FakeChatArgs, FakeRecognizerArgs, FakeSynthesizerArgs
from deployments.engines.kokoro.settings import KokoroArgs
from deployments.engines.llama.settings import LlamaArgs, LlamaConfig
from deployments.engines.whisper.settings import WhisperArgs, WhisperConfig
from deployments.settings import ChatConfig, ModelArgs, Settings, SpeechToTextConfig, TextToSpeechConfig

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One engine: its settings, its live settings, and its class as ``module.Class`` within ``deployments.engines``."""

    args: type[ModelArgs]
    config: type[SpeechToTextConfig] | type[ChatConfig] | type[TextToSpeechConfig]
    engine: str

    @property
    def name(self) -> str:
        """The value of ``engine`` in serve_config.yaml."""
        return str(self.args.model_fields["engine"].default)

    def live_settings(self, kind: type[S]) -> S:
        """Return the engine's live settings with their defaults; ``kind`` is the class that its deployment uses."""
        config = self.config()
        assert isinstance(config, kind)
        return config


# The first entry of each group is the default engine of its deployment.
RECOGNIZERS = (
    EngineEntry(WhisperArgs, WhisperConfig, "whisper.engine.WhisperRecognizer"),
    EngineEntry(FakeRecognizerArgs, SpeechToTextConfig, "fake.engine.FakeRecognizer"),
)
CHAT_MODELS = (
    EngineEntry(LlamaArgs, LlamaConfig, "llama.engine.LlamaChat"),
    EngineEntry(FakeChatArgs, ChatConfig, "fake.engine.FakeChat"),
)
SYNTHESIZERS = (
    EngineEntry(CoquiArgs, TextToSpeechConfig, "coqui.engine.CoquiSynthesizer"),
    EngineEntry(KokoroArgs, TextToSpeechConfig, "kokoro.engine.KokoroSynthesizer"),
    EngineEntry(FakeSynthesizerArgs, TextToSpeechConfig, "fake.engine.FakeSynthesizer"),
)


def _settings_of(entries: Iterable[EngineEntry]) -> Any:
    """Return the union of the engines' settings, selected by their field ``engine``."""
    return Annotated[Union[tuple(entry.args for entry in entries)], Field(discriminator="engine")]  # noqa: UP007


if TYPE_CHECKING:  # a type checker cannot evaluate a union that is built at run time
    SpeechToTextArgs = ModelArgs
    ChatArgs = ModelArgs
    TextToSpeechArgs = ModelArgs
else:
    SpeechToTextArgs = _settings_of(RECOGNIZERS)
    ChatArgs = _settings_of(CHAT_MODELS)
    TextToSpeechArgs = _settings_of(SYNTHESIZERS)

_BY_ARGS = {entry.args: entry for entry in (*RECOGNIZERS, *CHAT_MODELS, *SYNTHESIZERS)}


def entry_of(args: ModelArgs) -> EngineEntry:
    """Return the engine that ``args`` are the settings of."""
    return _BY_ARGS[type(args)]


def recognizer(args: SpeechToTextArgs) -> Recognizer:
    """Load the recognizer that ``args`` describe; blocks until it is warm."""
    return cast(Recognizer, load(args))


def chat_model(args: ChatArgs) -> ChatModel:
    """Load the chat model that ``args`` describe; blocks until it is warm."""
    return cast(ChatModel, load(args))


def synthesizer(args: TextToSpeechArgs) -> Synthesizer:
    """Load the synthesizer that ``args`` describe; blocks until it is warm."""
    return cast(Synthesizer, load(args))


def load(args: ModelArgs) -> Any:
    """Load the engine that ``args`` describe; blocks until it is warm."""
    module, _, name = entry_of(args).engine.rpartition(".")
    return getattr(import_module(f"deployments.engines.{module}"), name)(args)
