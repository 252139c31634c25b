"""Is what real models write said so that a recognizer hears what is meant?

    python -m bench.spoken [--config serve_config.yaml,configs/kokoro.yaml] [--line "50 kg"]

Method: each line is split into sentences, prepared and synthesized as by the service, by the voice of each
``--config``, and heard by the recognizer of the first one, in this process. A recognizer writes "50 kg" for "fifty
kilograms", so what it heard is read in words too, and both are compared without punctuation and accents. A line that is
not heard alone, as recognizers guess at two or three words without a context, is heard once more within ``CARRIER``.

Output: a table in Markdown, with what was heard where it differs. JSON: for each configuration the ``lines``, those
that ``match``, and those of them that needed the ``carrier``.
"""

from __future__ import annotations

import asyncio
import string
from pathlib import Path

from bench.audio import concatenate
from bench.command import argument_parser, comma_separated, report
from bench.direct import Configuration, Engines
from deployments.speech_text.spoken import spoken
from graphs.pipeline.sentences import Sentences

CARRIER = "My friend wrote the following: {line}"
LETTERS = frozenset(string.ascii_lowercase + "' ")
LETTER_NAMES = {"eigh": "a", "aitch": "h", "cue": "q"}  # as the normaliser writes them for a voice

TABLE = "| Fruit | Price |\n| --- | --- |\n| Apples | $2 |"
LINES = (
    "$1,234.56", "1/2 a cup", "½ a cup of milk", "№ 5", "-5°C", "80 km/h", "50 kg, 3 cm, 2 GB", "221B Baker St.",
    "http://example.com/a?b=c", "user@example.com", "C++ & C#", "A.B.C.", "NASA, FBI, CEO",
    "e.g. this, i.e. that, etc.", "vs. Prof. Smith", "Chapter IV, Henry VIII", "5 > 3 and 3 < 5", "x² + H₂O",
    "ﬁne ｆｕｌｌｗｉｄｔｈ",
    "café, naïve résumé", "Müller", "&amp; &lt; &quot; &nbsp;", 'print("hello")', TABLE, "Hello Привет world",
)  # fmt: skip


def letters_of(text: str) -> str:
    """Return the letters of a text as it is read: "apple's" and "apples", "full width" and "fullwidth" sound alike."""
    words = spoken(text, "en", LETTERS).text.lower().replace("'", "").split()
    return "".join(LETTER_NAMES.get(word, word) for word in words)


def in_sentences(line: str) -> list[str]:
    sentences = Sentences()
    return sentences.feed(line) + sentences.finish()


async def heard(voice: Engines, recognizer: Engines, line: str) -> str:
    """Return what the recognizer hears when the voice reads a line."""
    audio = concatenate([await voice.speak(sentence) for sentence in in_sentences(line)])
    return await recognizer.transcribe(audio)


async def hear_back(voice: Engines, recognizer: Engines, lines: list[str]) -> dict[str, int]:
    """Print one row for each line; return how many lines are heard as they are said."""
    figures = {"lines": len(lines), "match": 0, "carrier": 0}
    print("| text | said | heard |\n| --- | --- | --- |")
    for line in lines:
        said = " ".join(piece for sentence in in_sentences(line) for piece in voice.prepared(sentence).pieces)
        answer = await heard(voice, recognizer, line)
        if letters_of(answer) != letters_of(said):
            answer = await heard(voice, recognizer, CARRIER.format(line=line))
            carried = letters_of(answer) == letters_of(CARRIER.format(line=said))
            figures["carrier"] += carried
            result = "as said, in a sentence" if carried else answer
        else:
            carried, result = True, "as said"
        figures["match"] += carried
        shown = line.replace("\n", " ⏎ ").replace("|", "\\|")
        print(f"| `{shown}` | {said} | {result} |", flush=True)
    return figures


async def main() -> None:
    parser = argument_parser(__doc__)
    configs = ["serve_config.yaml", "configs/kokoro.yaml"]
    parser.add_argument("--config", type=comma_separated(str), default=configs, help="default: %(default)s")
    parser.add_argument("--line", action="append", help="in place of those of the issue; may be repeated")
    args = parser.parse_args()
    recognizer = Engines(Configuration.load(Path(args.config[0])))
    figures = {}
    for file in args.config:
        print(f"\n{file}\n")
        voice = Engines(Configuration.load(Path(file)))
        figures[file] = await hear_back(voice, recognizer, args.line or [*LINES])
    report("spoken", figures)


if __name__ == "__main__":
    asyncio.run(main())
