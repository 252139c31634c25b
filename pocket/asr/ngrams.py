"""A trigram language model of the domain, for PocketSphinx.

    python -m pocket.asr.ngrams pocket/asr/ngrams.arpa

Knows the words of the domain that PocketSphinx's own dictionary can pronounce, and nothing of sound.
"""

import argparse
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from pocket.asr import text

DISCOUNT = 0.6
SEED = 3
START, END = "<s>", "</s>"

Gram = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the ARPA file to write")
    parser.add_argument("--sentences", type=int, default=150_000)
    args = parser.parse_args()
    rng = random.Random(SEED)
    known = pronounceable()
    sentences = (text.words(text.sentence(rng)) for _ in range(args.sentences))
    args.path.write_text(arpa(sentence for sentence in sentences if known.issuperset(sentence)))


def pronounceable() -> set[str]:
    """The words of the dictionary inside the pocketsphinx package."""
    from pocketsphinx import get_model_path

    lines = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text().splitlines()
    return {line.split()[0] for line in lines if line}


def arpa(sentences: Iterable[Sequence[str]], least: Sequence[int] = (1, 2, 2)) -> str:
    """The model of `sentences` in ARPA's format: absolute discounting with back-off; `least` counts are kept."""
    counts: list[Counter[Gram]] = [Counter(), Counter(), Counter()]
    for sentence in sentences:
        padded = (START, *sentence, END)
        for order in (1, 2, 3):
            counts[order - 1].update(padded[i : i + order] for i in range(len(padded) - order + 1))
    kept = [{gram: n for gram, n in table.items() if n >= few} for table, few in zip(counts, least, strict=True)]
    total = sum(n for gram, n in kept[0].items() if gram != (START,))
    logs: list[dict[Gram, float]] = [{gram: n / total for gram, n in kept[0].items()}, {}, {}]
    weights: dict[Gram, float] = {}
    for order in (2, 3):
        followers: dict[Gram, list[Gram]] = defaultdict(list)
        for gram in kept[order - 1]:
            followers[gram[:-1]].append(gram)
        for history, grams in followers.items():
            seen = counts[order - 2][history]
            for gram in grams:
                logs[order - 1][gram] = (kept[order - 1][gram] - DISCOUNT) / seen
            left = 1 - sum(logs[order - 1][gram] for gram in grams)
            below = 1 - sum(_probability(gram[1:], logs, weights) for gram in grams)
            weights[history] = left / below if below > 1e-9 else 1.0
    return _written(logs, weights)


def _probability(gram: Gram, probabilities: Sequence[dict[Gram, float]], weights: dict[Gram, float]) -> float:
    known = probabilities[len(gram) - 1].get(gram)
    if known is not None or len(gram) == 1:
        return known or 0.0
    return weights.get(gram[:-1], 1.0) * _probability(gram[1:], probabilities, weights)


def _written(probabilities: Sequence[dict[Gram, float]], weights: dict[Gram, float]) -> str:
    lines = ["\\data\\", *(f"ngram {order}={len(table)}" for order, table in enumerate(probabilities, 1)), ""]
    for order, table in enumerate(probabilities, 1):
        lines.append(f"\\{order}-grams:")
        for gram in sorted(table):
            probability = -99.0 if gram == (START,) else math.log10(table[gram])
            weight = f" {math.log10(max(weights[gram], 1e-9)):.3f}" if gram in weights and order < 3 else ""
            lines.append(f"{probability:.3f} {' '.join(gram)}{weight}")
        lines.append("")
    return "\n".join([*lines, "\\end\\", ""])


if __name__ == "__main__":
    main()
