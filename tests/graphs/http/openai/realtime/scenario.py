"""Scenarios: text files with what happens to a session and what it does then, in order.

A line is a comment (``#``), an input or an effect:

- ``kind transcription``: the first line of a transcription session
- ``at 3.5``: the clock
- ``> {"type": ...}``: a message of the client; ``> append 1000``: that many milliseconds of silence as audio/pcm
- ``* transcribed "item_1" "Hello"``: a call of the session; arguments are JSON, ``<Overloaded>`` an error of that name,
  ``<image>`` and ``<audio>`` a medium
- ``< response.done ...``: an event that is sent, with its significant fields; the others are checked by ``Invariants``
- ``! Transcribe ...``: another effect

Effects are the result of the input above them, complete and in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from deployments import errors
from deployments.messages import Audio, Image
from graphs.http.openai.realtime import effects
from graphs.http.openai.realtime.effects import Effect
from tests.graphs.http.openai.realtime.talk import Talk

MEDIA = {
    "<image>": Image(np.zeros((2, 3, 3), np.uint8)),
    "<audio>": Audio(np.zeros(16_000, np.float32), 16_000),
}


def replay(text: str) -> str:
    """Return the scenario as it is with the session's real effects in place of those of ``text``."""
    lines: list[str] = []
    talk: Talk | None = None
    for line in text.splitlines():
        if line.startswith("kind "):
            talk = Talk(line.removeprefix("kind "))  # type: ignore[arg-type]
            lines += [line, *map(shown, talk.effects)]
        elif not line or line.startswith("#"):
            lines.append(line)
        elif line[0] not in "<!":
            if talk is None:
                talk = Talk()
                lines += map(shown, talk.effects)
            lines.append(line)
            lines += map(shown, act(talk, line))
    assert talk is not None
    talk.invariants.nothing_is_open()
    return "\n".join(lines) + "\n"


def act(talk: Talk, line: str) -> list[Effect]:
    """Carry out an input."""
    sign, _, rest = line.partition(" ")
    if sign == "at":
        talk.now_s = float(rest)
        return []
    if sign == ">":
        if rest.startswith("append "):
            return talk.append(int(rest.removeprefix("append ")))
        return talk.message(rest)
    name, _, arguments = rest.partition(" ")
    effects_: list[Effect] = getattr(talk, name)(*parsed(arguments))
    return effects_


def parsed(arguments: str) -> Iterator[Any]:
    """Yield the arguments of a call."""
    while arguments := arguments.strip():
        if arguments.startswith("<"):
            name, _, arguments = arguments.partition(" ")
            yield MEDIA.get(name) or getattr(errors, name.strip("<>"))("It failed.")
        else:
            value, end = json.JSONDecoder().raw_decode(arguments)
            yield value
            arguments = arguments[end:]


def shown(effect: Effect) -> str:
    """Return the line of an effect."""
    if isinstance(effect, effects.Send):
        name, fields = f"< {effect.event['type']}", significant(effect.event)
    else:
        name, fields = f"! {type(effect).__name__}", asked(effect)
    return " ".join([name, *(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in fields.items())])


def significant(event: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event that a reader of a scenario wants to see."""
    fields = {key: value for key, value in event.items() if key not in ("type", "event_id")}
    if "session" in event:
        session = event["session"]
        heard = session["audio"]["input"]
        turn_detection = heard.get("turn_detection", {}).get("type")
        modalities = session.get("output_modalities")
        fields["session"] = {"type": session["type"], "output": modalities, "turn_detection": turn_detection}
    if "item" in event:
        fields["item"] = brief_item(event["item"])
    if "response" in event:
        response = event["response"]
        fields["response"] = {key: response[key] for key in ("id", "status", "metadata") if key in response}
        if "status_details" in response:
            fields["because"] = response["status_details"].get("reason") or response["status_details"]["error"]["code"]
        if "usage" in response:
            fields["output"] = [brief_item(item) for item in response["output"]]
            fields["usage"] = [response["usage"]["input_tokens"], response["usage"]["output_tokens"]]
    if event.get("output_index") == 0 and event.get("content_index", 0) == 0:
        fields.pop("output_index")
        fields.pop("content_index", None)
    return fields


def brief_item(item: dict[str, Any]) -> list[Any]:
    """Return the id, role and status of an item, and its content."""
    parts = [part.get("text", part.get("transcript", part["type"])) for part in item["content"]]
    return [item["id"], item["role"], item["status"], *parts]


def asked(effect: Effect) -> dict[str, Any]:
    """Return what a reader of a scenario wants to see of an effect other than an event."""
    match effect:
        case effects.ConfigureInput(wire, turn_detection):
            return {"wire": wire, "turn_detection": turn_detection and turn_detection.type}
        case effects.AppendAudio(data):
            return {"bytes": len(data)}
        case effects.Transcribe():
            fields = {"item_id": effect.item_id, "start_ms": effect.start_ms, "end_ms": effect.end_ms}
            return {**fields, "report": effect.report}
        case effects.TranscribeAudio():
            return {"item_id": effect.item_id, "duration_s": effect.audio.duration_s}
        case effects.Decode():
            return {"item_id": effect.item_id, "part_index": effect.part_index, "kind": effect.kind}
        case effects.Respond():
            messages = [[m.role, m.text, *(["picture"] * len(m.images))] for m in effect.turn.messages]
            return {"response_id": effect.response_id, "output": effect.turn.output, "messages": messages}
        case _:
            return {name: getattr(effect, name) for name in effect.__slots__}
