"""The names of models and voices that clients use: those that are deployed, ``parley``, and aliases. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployments.errors import InvalidRequest, NotFound
from graphs.pipeline.plan import Stage
from graphs.settings import GatewayConfig

GRAPH = "parley"  # the graph as one model: the input selects the stages

OPENAI_MODELS = ("gpt-", "whisper-1")  # how the names of OpenAI's live models begin

_TASKS = {
    Stage.ASR: "transcription",
    Stage.LLM: "chat",
    Stage.VISION: "chat",
    Stage.TTS: "speech",
}


class UnknownModel(InvalidRequest):
    """A request names a model that is not served, or not for this route."""

    code = "model_not_found"


class NoSuchModel(NotFound):
    """GET /v1/models/{name} names a model that is not served."""

    code = UnknownModel.code


@dataclass(frozen=True, slots=True)
class Models:
    """The served models and their voices.

    ``names`` has the name of each stage's model, ``created`` is when they were loaded, in seconds of Unix time.
    ``aliases`` and ``voice_aliases`` map additional names; the voice ``None`` is the default.
    """

    names: Mapping[Stage, str]
    created: int
    aliases: Mapping[str, str] = field(default_factory=dict)
    voice_aliases: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def deployed(cls, names: Mapping[Stage, str], created: int, config: GatewayConfig) -> Models:
        """Return the models of an application. A vision model with the name of the text model gets a suffix."""
        unique = dict(names)
        if unique[Stage.VISION] == unique[Stage.LLM]:
            unique[Stage.VISION] += "-vision"
        return cls(unique, created, config.model_aliases, config.voice_aliases)

    def stage(self, name: str, stages: tuple[Stage, ...], param: str = "model") -> Stage | None:
        """Return which of ``stages`` has the model ``name``; ``None`` for ``parley``.

        Raise ``UnknownModel``; ``param`` is the field with the name.
        """
        wanted = self.aliases.get(name, name)
        if wanted == GRAPH:
            return None
        for stage in stages:
            if self.names[stage] == wanted:
                return stage
        served = ", ".join(dict.fromkeys([GRAPH, *(self.names[stage] for stage in stages)]))
        raise UnknownModel(f"There is no {_TASKS[stages[0]]} model '{name[:100]}', only {served}.", param=param)

    def live_stage(self, name: str, stages: tuple[Stage, ...], param: str = "model") -> Stage | None:
        """As ``stage``, for live sessions: OpenAI's models mean the graph, as clients of the Realtime API name them
        without being asked."""
        return None if name.startswith(OPENAI_MODELS) else self.stage(name, stages, param)

    def voice(self, name: str | None) -> str | None:
        """Return the engine's name of a voice; ``None`` is its default."""
        return None if name is None else self.voice_aliases.get(name, name)

    def listing(self, voices: Sequence[str]) -> dict[str, Any]:
        """Return the body of GET /v1/models. ``voices`` are those of the speech model."""
        return {"object": "list", "data": [self._entry(name, voices) for name in self._unique_names()]}

    def entry(self, name: str, voices: Sequence[str]) -> dict[str, Any]:
        """Return the body of GET /v1/models/{name}. Raise ``NoSuchModel``."""
        wanted = self.aliases.get(name, name)
        if wanted not in self._unique_names():
            raise NoSuchModel(f"There is no model '{name[:100]}'. GET /v1/models lists the models.", param="model")
        return self._entry(name, voices)

    def _unique_names(self) -> list[str]:
        return list(dict.fromkeys([GRAPH, *self.names.values()]))

    def _entry(self, name: str, voices: Sequence[str]) -> dict[str, Any]:
        entry = {"id": name, "object": "model", "created": self.created, "owned_by": "parley"}
        speaks = self.aliases.get(name, name) == self.names[Stage.TTS]
        return entry | ({"voices": [*voices]} if speaks and voices else {})
