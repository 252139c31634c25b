"""A voice turn and an interruption with OpenAI's Agents SDK: ``agents_python.py WS_URL SPEECH.pcm``; prints JSON."""

import asyncio
import json
import sys
from pathlib import Path

from agents.realtime import RealtimeAgent, RealtimeRunner

FRAME_BYTES = 4800  # 100 ms
SILENCE = bytes(48_000)


async def main(url: str, speech: bytes) -> dict:
    agent = RealtimeAgent(name="Assistant", instructions="Answer briefly.")
    runner = RealtimeRunner(agent)
    found = {"events": [], "audio_bytes": 0, "errors": [], "history": []}
    turns = {"turn_detection": {"type": "server_vad"}}  # semantic_vad, the default, needs a model
    config = {"url": url, "api_key": "none", "initial_model_settings": turns}
    async with await runner.run(model_config=config) as session:

        async def say() -> None:
            for at in range(0, len(speech + SILENCE), FRAME_BYTES):
                await session.send_audio((speech + SILENCE)[at : at + FRAME_BYTES])
                await asyncio.sleep(0.02)

        await session.send_message("Tell me a story")
        has_interrupted = False
        speaking = None
        async for event in session:
            if event.type != "raw_model_event":
                found["events"].append(event.type)
            if event.type == "error":
                found["errors"].append(str(event.error))
            if event.type == "audio":
                found["audio_bytes"] += len(event.audio.data)
                if speaking is None:
                    speaking = asyncio.create_task(say())
            if event.type == "audio_interrupted":
                has_interrupted = True
            if event.type == "audio_end" and has_interrupted and speaking and speaking.done():
                break
        for item in session._history:
            found["history"].append(json.loads(item.model_dump_json()))
    return found


print(json.dumps(asyncio.run(asyncio.wait_for(main(sys.argv[1], Path(sys.argv[2]).read_bytes()), 60))))
