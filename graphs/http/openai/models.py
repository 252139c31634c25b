"""The models by the names that clients use: what is deployed, and the graph as a whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployments.errors import InvalidRequest, NotFound
from graphs.pipeline.plan import Stage

GRAPH = "parley"  # the whole graph as one model: what came in decides who answers

_TASKS = {
    Stage.ASR: "transcription",
    Stage.LLM: "chat",
    Stage.VISION: "chat",
    Stage.TTS: "speech",
}


class UnknownModel(InvalidRequest):
    """A request names a model that is not served here, or not for this."""

    code = "model_not_found"


class NoSuchModel(NotFound):
    """There is no entry of this name."""

    code = UnknownModel.code


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``models``: the name of each stage's model. ``created``: when they were loaded, in seconds of Unix time."""

    models: Mapping[Stage, str]
    created: int
    aliases: Mapping[str, str] = field(default_factory=dict)

    def stage(self, name: str, stages: tuple[Stage, ...]) -> Stage | None:
        """Which of ``stages`` a request means by a name; ``None`` leaves it to the graph. Raises ``UnknownModel``."""
        wanted = self.aliases.get(name, name)
        if wanted == GRAPH:
            return None
        for stage in stages:
            if self.models[stage] == wanted:
                return stage
        served = ", ".join(dict.fromkeys([GRAPH, *(self.models[stage] for stage in stages)]))
        raise UnknownModel(f"There is no {_TASKS[stages[0]]} model '{name[:100]}'. There is {served}.", param="model")

    def listing(self) -> dict[str, Any]:
        """All models, as GET /v1/models tells them."""
        return {"object": "list", "data": [self._entry(name) for name in self._names()]}

    def entry(self, name: str) -> dict[str, Any]:
        """One model; raises ``NoSuchModel``."""
        wanted = self.aliases.get(name, name)
        if wanted not in self._names():
            raise NoSuchModel(f"There is no model '{name[:100]}'. GET /v1/models lists what there is.", param="model")
        return self._entry(name)

    def _names(self) -> list[str]:
        return list(dict.fromkeys([GRAPH, *self.models.values()]))

    def _entry(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.created, "owned_by": "parley"}


def catalogue(names: Mapping[Stage, str], created: int, aliases: Mapping[str, str]) -> Catalogue:
    """The catalogue of the models that are deployed; one that has eyes and another's name is told apart."""
    models = dict(names)
    if models[Stage.VISION] == models[Stage.LLM]:
        models[Stage.VISION] += "-vision"
    return Catalogue(models, created, aliases)
