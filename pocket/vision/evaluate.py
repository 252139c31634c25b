"""Evaluate the bundled files in llama-cpp-python on new pictures with held-out phrasings.

    python -m pocket.vision.evaluate --count 600

prints one JSON line: the share of right answers in total and by ability, and figures of a sequence of pictures that
repeats in one process. Decoding is greedy.
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


class VisionModel:
    """The language model and the vision tower in llama-cpp-python."""

    def __init__(self, llm: Path = LLM, mmproj: Path = MMPROJ, handler: str = "mtmd", threads: int = 1) -> None:
        import llama_cpp
        from llama_cpp import llama_chat_format

        chat_handler = getattr(llama_chat_format, HANDLERS[handler])(str(mmproj), verbose=False)
        self.model = llama_cpp.Llama(
            str(llm), chat_handler=chat_handler, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def answer(self, image: Image.Image, messages: Sequence[scenes.Message], image_turn: int = 0) -> str:
        """Return the greedy answer to the last of `messages`; `messages[image_turn]` contains the picture."""
        parts: list[dict[str, Any]] = [dict(message) for message in messages]
        text = {"type": "text", "text": parts[image_turn]["content"]}
        parts[image_turn]["content"] = [{"type": "image_url", "image_url": {"url": data_uri(image)}}, text]
        completion = self.model.create_chat_completion(parts, temperature=0.0, max_tokens=64)
        return str(completion["choices"][0]["message"]["content"]).strip()

    def close(self) -> None:
        self.model.close()


def data_uri(image: Image.Image) -> str:
    """Return the picture as a PNG in a data URI."""
    stored = io.BytesIO()
    image.save(stored, "PNG")
    return "data:image/png;base64," + base64.b64encode(stored.getvalue()).decode()


def evaluate_examples(model: VisionModel, examples: Sequence[scenes.Example], show: int = 0) -> dict[str, Any]:
    """Return figures of the answers to the last question of each example; print up to `show` wrong ones."""
    right: dict[str, list[bool]] = defaultdict(list)
    for example in examples:
        *context, expected = example.messages
        answer = model.answer(example.image, context, example.image_turn)
        correct = questions.equivalent(answer, expected["content"])
        right[example.abilities[-1]].append(correct)
        if not correct and show > 0:
            show -= 1
            print(f"{example.image.size} {context[-1]['content']!r}: {answer!r}, not {expected['content']!r}")
    all_results = [correct for results in right.values() for correct in results]
    by_ability = {ability: [sum(results), len(results)] for ability, results in sorted(right.items())}
    return {
        "right": sum(all_results),
        "of": len(all_results),
        "share": sum(all_results) / len(all_results),
        "by_ability": by_ability,
    }


def evaluate_sequence(model: VisionModel, seed: int, count: int = 12) -> dict[str, int]:
    """Return how many answers are right and repeatable.

    The model describes `count` different pictures in one process, then each again in another order.
    """
    rng = random.Random(f"sequence {seed}")
    pictures: dict[str, Image.Image] = {}
    while len(pictures) < count:
        image, scene = scenes.picture(rng)
        if scene.things:
            pictures.setdefault(questions.description(scene), image)
    order = list(pictures) + rng.sample(list(pictures), count) + list(pictures)[:1]
    messages = [{"role": "user", "content": "What do you see?"}]
    answers = [model.answer(pictures[description], messages) for description in order]
    first: dict[str, str] = {}
    repeated = sum(
        first.setdefault(description, answer) == answer for description, answer in zip(order, answers, strict=True)
    )
    right = sum(questions.equivalent(answer, description) for answer, description in zip(answers, order, strict=True))
    return {"of": len(order), "right": right, "same_as_before": repeated}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=600, help="held-out pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--handler", choices=HANDLERS, default="mtmd")
    parser.add_argument("--llm", type=Path, default=LLM)
    parser.add_argument("--mmproj", type=Path, default=MMPROJ)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print up to this many wrong answers")
    args = parser.parse_args()
    model = VisionModel(args.llm, args.mmproj, args.handler, args.threads)
    start = time.monotonic()
    figures = evaluate_examples(model, scenes.held_out(args.seed, args.count), args.show)
    figures["s_per_answer"] = round((time.monotonic() - start) / args.count, 3)
    figures["sequence"] = evaluate_sequence(model, args.seed)
    print(json.dumps({"model": "pocket vision", "handler": args.handler, "seed": args.seed, **figures}))
    model.close()


if __name__ == "__main__":
    main()
