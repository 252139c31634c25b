"""The audio worklets, in a context that renders faster than real time, and the modules without a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web.conftest import Visit
from tests.web.standin import RATE_HZ

CAPTURE = """
async ({ rateHz, toneHz }) => {
  const context = new OfflineAudioContext(1, rateHz, rateHz);
  await context.audioWorklet.addModule("/web/capture-worklet.js");
  const processorOptions = { rateHz: 24000, blockMs: 40 };
  const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, processorOptions });
  const blocks = [];
  node.port.onmessage = ({ data }) => blocks.push(data);
  const tone = new OscillatorNode(context, { frequency: toneHz });
  tone.connect(node);
  tone.start();
  await context.startRendering();
  while (blocks.length < 25) await new Promise((resolve) => setTimeout(resolve, 5));
  return { pcm: blocks.flatMap(({ pcm }) => [...pcm]), levels: blocks.map(({ level }) => level) };
}
"""

# `steps` are messages to the player, each with the time at which it comes.
PLAY = """
async ({ steps, seconds }) => {
  const context = new OfflineAudioContext(1, 24000 * seconds, 24000);
  await context.audioWorklet.addModule("/web/player-worklet.js");
  const node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
  const messages = [];
  node.port.onmessage = ({ data }) => messages.push(data);
  node.connect(context.destination);
  for (const [at, messages] of Map.groupBy(steps, ({ at }) => at)) {
    context.suspend(at).then(async () => {
      for (const { samples, ...message } of messages) {
        node.port.postMessage(samples ? { ...message, samples: Int16Array.from(samples) } : message);
      }
      await new Promise((resolve) => setTimeout(resolve, 50)); // the message arrives
      context.resume();
    });
  }
  const rendered = await context.startRendering();
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { output: [...rendered.getChannelData(0)], messages };
}
"""


def play(visit: Visit, *steps: dict[str, Any], seconds: float = 2) -> tuple[NDArray[np.float64], list[dict[str, Any]]]:
    """Return what the player plays, as 16-bit samples, and its messages."""
    result = visit().evaluate(PLAY, {"steps": list(steps), "seconds": seconds})
    return np.array(result["output"]) * 32768, result["messages"]


def append(at: float, samples: NDArray[np.int64], item: str = "a") -> dict[str, Any]:
    return {"at": at, "type": "append", "id": item, "samples": samples.tolist()}


def end(at: float, item: str = "a") -> dict[str, Any]:
    return {"at": at, "type": "end", "id": item}


def ramp(seconds: float) -> NDArray[np.int64]:
    """Return samples that all differ, none of them 0."""
    return np.arange(1, 1 + int(seconds * RATE_HZ))


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 16_000])
def test_capture_converts_a_tone_to_24_khz(visit: Visit, rate_hz: int) -> None:
    heard = visit().evaluate(CAPTURE, {"rateHz": rate_hz, "toneHz": 1000})
    pcm = np.array(heard["pcm"]) / 32767
    assert abs(len(pcm) - RATE_HZ) < 100
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(pcm)) / RATE_HZ)
    assert np.abs(pcm - expected)[200:-200].max() < 0.01
    assert heard["levels"][5] == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_capture_removes_what_24_khz_cannot_hold(visit: Visit) -> None:
    heard = visit().evaluate(CAPTURE, {"rateHz": 48_000, "toneHz": 15_000})
    assert np.abs(np.array(heard["pcm"])[200:-200]).max() < 33  # 60 dB below full scale


def test_the_player_plays_chunks_without_a_gap(visit: Visit) -> None:
    samples = ramp(1)
    output, messages = play(visit, append(0, samples[:10_000]), append(0.128, samples[10_000:]), end(0.256))
    start = int(np.argmax(output != 0))
    assert np.array_equal(output[start : start + len(samples)].round(), samples)
    assert not output[start + len(samples) :].any()
    assert messages[-1] == {**messages[-1], "type": "progress", "id": "a", "played": len(samples), "finished": True}


def test_the_player_waits_until_it_has_something_to_play_on(visit: Visit) -> None:
    output, _ = play(visit, append(0, ramp(0.1)), append(1.024, ramp(0.1)))
    assert int(np.argmax(output != 0)) == int(1.024 * RATE_HZ)


def test_the_player_plays_what_is_short_once_it_is_whole(visit: Visit) -> None:
    output, _ = play(visit, append(0, ramp(0.05)), end(1.024))
    assert int(np.argmax(output != 0)) == int(1.024 * RATE_HZ)


def test_a_flush_is_silent_after_5_ms_and_says_what_was_played(visit: Visit) -> None:
    output, messages = play(visit, append(0, ramp(1.5)), append(0, ramp(1), "b"), {"at": 0.512, "type": "flush"})
    cut = int(0.512 * RATE_HZ)
    (flushed,) = (message for message in messages if message["type"] == "flushed")
    assert flushed["items"] == [{"id": "a", "played": cut}, {"id": "b", "played": 0}]
    assert np.abs(np.diff(output[cut - 1 : cut + 140])).max() < 200  # a fade, no click
    assert not output[cut + 128 :].any()


def test_an_item_is_played_after_the_one_before_it(visit: Visit) -> None:
    steps = append(0, ramp(0.3)), append(0, -ramp(0.3), "b"), end(0.128), end(0.128, "b")
    output, messages = play(visit, *steps)
    assert output[np.abs(output) > 0].round().tolist() == [*ramp(0.3), *-ramp(0.3)]
    assert [message["id"] for message in messages if message["finished"]] == ["a", "b"]


def test_the_clock_of_the_input_finds_when_a_sample_was_captured(visit: Visit) -> None:
    found = visit().evaluate(
        """async () => {
          const { InputClock } = await import("/web/times.js");
          const clock = new InputClock();
          for (let block = 1; block <= 2000; block++) clock.sent(40, 5000 + 40 * block);
          return [clock.at(79_990), clock.at(79_970), clock.at(80_001) ?? "not yet"];
        }"""
    )
    assert found == [84_990, 84_970, "not yet"]
