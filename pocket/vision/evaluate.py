"""Holds the shipped files against pictures and wordings that were never trained on, through llama-cpp-python.

    python -m pocket.vision.evaluate --count 600

prints one JSON line: the share of right answers in all and by ability, and the same for a sequence in which pictures
follow each other in one process and come back. Decoding is greedy.
"""

import argparse
import base64
import io
import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pocket.vision import questions, scenes

LLM = Path(__file__).parents[1] / "llm" / "weights" / "pocket-llm.gguf"
MMPROJ = Path(__file__).parent / "weights" / "pocket-mmproj.gguf"
HANDLERS = {"mtmd": "MTMDChatHandler", "llava15": "Llava15ChatHandler"}


class Viewer:
    """The two files in one llama-cpp-python model that takes pictures."""

    def __init__(self, llm: Path = LLM, mmproj: Path = MMPROJ, handler: str = "mtmd", threads: int = 1) -> None:
        import llama_cpp
        from llama_cpp import llama_chat_format

        chat = getattr(llama_chat_format, HANDLERS[handler])(str(mmproj), verbose=False)
        self.model = llama_cpp.Llama(
            str(llm), chat_handler=chat, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def answer(self, image: Image.Image, messages: Sequence[scenes.Message], image_turn: int = 0) -> str:
        """The greedy answer to the last of `messages`, the picture being in `messages[image_turn]`."""
        parts: list[dict[str, Any]] = [dict(message) for message in messages]
        text = {"type": "text", "text": parts[image_turn]["content"]}
        parts[image_turn]["content"] = [{"type": "image_url", "image_url": {"url": data_uri(image)}}, text]
        reply = self.model.create_chat_completion(parts, temperature=0.0, max_tokens=64)
        return str(reply["choices"][0]["message"]["content"]).strip()

    def close(self) -> None:
        self.model.close()


def data_uri(image: Image.Image) -> str:
    """The picture as a PNG in a data URI."""
    stored = io.BytesIO()
    image.save(stored, "PNG")
    return "data:image/png;base64," + base64.b64encode(stored.getvalue()).decode()


def judged(viewer: Viewer, examples: Sequence[scenes.Example], show: int = 0) -> dict[str, Any]:
    """Shares of right answers to the last question of each example."""
    right: dict[str, list[bool]] = defaultdict(list)
    for example in examples:
        *asked, expected = example.messages
        said = viewer.answer(example.image, asked, example.image_turn)
        verdict = questions.same(said, expected["content"])
        right[example.abilities[-1]].append(verdict)
        if not verdict and show > 0:
            show -= 1
            print(f"{example.image.size} {asked[-1]['content']!r}: {said!r}, not {expected['content']!r}")
    every = [verdict for verdicts in right.values() for verdict in verdicts]
    by_ability = {ability: [sum(verdicts), len(verdicts)] for ability, verdicts in sorted(right.items())}
    return {"right": sum(every), "of": len(every), "share": sum(every) / len(every), "by_ability": by_ability}


def in_sequence(viewer: Viewer, seed: int, count: int = 12) -> dict[str, int]:
    """Pictures with different descriptions, one after another, then each again in another order."""
    rng = random.Random(f"sequence {seed}")
    shown: dict[str, Image.Image] = {}
    while len(shown) < count:
        image, scene = scenes.picture(rng)
        if scene.things:
            shown.setdefault(questions.description(scene), image)
    order = list(shown) + rng.sample(list(shown), count) + list(shown)[:1]
    asked = [{"role": "user", "content": "What do you see?"}]
    said = [viewer.answer(shown[description], asked) for description in order]
    first: dict[str, str] = {}
    steady = sum(
        first.setdefault(description, answer) == answer for description, answer in zip(order, said, strict=True)
    )
    right = sum(questions.same(answer, description) for answer, description in zip(said, order, strict=True))
    return {"of": len(order), "right": right, "same_as_before": steady}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=600, help="held-out pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--handler", choices=HANDLERS, default="mtmd")
    parser.add_argument("--llm", type=Path, default=LLM)
    parser.add_argument("--mmproj", type=Path, default=MMPROJ)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers first")
    args = parser.parse_args()
    viewer = Viewer(args.llm, args.mmproj, args.handler, args.threads)
    start = time.monotonic()
    figures = judged(viewer, scenes.held_out(args.seed, args.count), args.show)
    figures["s_per_answer"] = round((time.monotonic() - start) / args.count, 3)
    figures["sequence"] = in_sequence(viewer, args.seed)
    print(json.dumps({"model": "pocket vision", "handler": args.handler, "seed": args.seed, **figures}))
    viewer.close()


if __name__ == "__main__":
    main()
