"""Made-up conversations with the pocket assistant: the data of the language model, and of the speech models' domain.

Everything is drawn from the `random.Random` that is passed in, so a seed gives the same conversation everywhere. With
`held_out`, every question is worded by a combination of template and fillers that training never sees.
"""

import random

from pocket.llm.conversation import Talk
from pocket.llm.elsewhere import pasted
from pocket.llm.persona import Persona, any_persona
from pocket.llm.phrasing import Speaker
from pocket.llm.skills import SKILLS
from pocket.llm.skills.words import sentence, something_to_say

Message = dict[str, str]

_NAMES = tuple(SKILLS)
_WEIGHTS = tuple(weight for _, weight in SKILLS.values())
_SHOUTED = ("capital", "arithmetic", "opposite", "colour", "sound", "calendar", "counting", "greeting", "who_are_you")
_JOINABLE = ("capital", "arithmetic", "opposite", "colour", "sound", "calendar")


def dialogue(rng: random.Random, held_out: bool = False) -> list[Message]:
    """A conversation as messages with `role` and `content`: at times a system message, then user and assistant."""
    return labelled(rng, held_out)[0]


def labelled(rng: random.Random, held_out: bool = False, ability: str | None = None) -> tuple[list[Message], str]:
    """A conversation and the ability that its last answer shows, `ability` where it is given."""
    persona = any_persona(rng)
    talk = Talk(Speaker(rng, held_out), persona)
    messages: list[Message] = [{"role": "system", "content": persona.prompt}] if persona.prompt else []
    turns = _turns(rng)
    plan = rng.choices(_NAMES, _WEIGHTS, k=turns)
    if ability:
        plan[-1] = ability
    if (plan[-1] == "recall" or rng.random() < 0.25) and turns > 1:
        plan = _with_memories(rng, plan)
    for name in plan:
        topic = talk.topic
        asked, answer = SKILLS[name][0](talk)
        if talk.topic is topic:
            talk.topic = None
        if rng.random() < 0.04 and name in (*_JOINABLE, "tell") and not talk.persona.one_word:
            asked, answer = _joined(talk, asked, answer)
        asked = _untidy(rng, asked, name)
        if name != "say_again":
            talk.last_answer = answer
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return messages, plan[-1]


def long_dialogue(rng: random.Random, words: int) -> list[Message]:
    """A conversation of at least about `words` words: many turns, or a long text pasted in somewhere."""
    messages = dialogue(rng)
    if rng.random() < 0.5:
        refusal = SKILLS["anything_else"][0](Talk(Speaker(rng), Persona(None)))[1]
        one_word = any(
            m["role"] == "system" and "one" in m["content"].lower() and "word" in m["content"].lower() for m in messages
        )
        start = 1 if messages[0]["role"] == "system" else 0
        turn = [
            {"role": "user", "content": pasted(rng, words)},
            {"role": "assistant", "content": "Sorry." if one_word else refusal},
        ]
        return messages[:start] + turn + messages[start:]
    return _many_turns(rng, words)


def _many_turns(rng: random.Random, words: int) -> list[Message]:
    persona = any_persona(rng)
    talk = Talk(Speaker(rng), persona)
    messages: list[Message] = [{"role": "system", "content": persona.prompt}] if persona.prompt else []
    count = 0
    while count < words:
        name = rng.choices(_NAMES, _WEIGHTS)[0]
        asked, answer = SKILLS[name][0](talk)
        talk.last_answer = answer
        talk.topic = None
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        count += len(asked.split()) + len(answer.split())
    return messages


def _untidy(rng: random.Random, asked: str, name: str) -> str:
    """Now and then shouted, or with stray spaces and marks."""
    if rng.random() < 0.02 and name in _SHOUTED:
        asked = asked.upper()
    if rng.random() < 0.025 and name != "echo":
        asked = rng.choice((" {}", "{} ", "{}\n", "{}??", "{}!!", "{}...", "{} ?", "{}  ", "\n{}")).format(asked)
    return asked


def _turns(rng: random.Random) -> int:
    return rng.choices((1, 2, 3, 4, 5, 6, 8, 12), (22, 18, 16, 14, 12, 8, 7, 3))[0]


def _with_memories(rng: random.Random, plan: list[str]) -> list[str]:
    """Something told early, asked for at the end."""
    told = [rng.choices(("tell", "tell_two"), (5, 1))[0] for _ in range(rng.choice((1, 1, 2, 3)))]
    plan = [*told, *plan]
    if len(plan) > 3 and rng.random() < 0.5:
        plan.insert(rng.randrange(2, len(plan)), rng.choice(("tell", "recall")))
    return plan


def _joined(talk: Talk, asked: str, answer: str) -> tuple[str, str]:
    """Two questions in one message, answered one after the other."""
    talk.topic = None
    other, reply = SKILLS[talk.rng.choice(_JOINABLE)][0](talk)
    link = " and " if talk.speaker.style == "lower" else talk.rng.choice((" And ", " "))
    return asked + link + other, f"{answer} {reply}"


def user_line(rng: random.Random) -> str:
    """One thing that a person may say to the assistant, in normal written English."""
    while True:
        text = _user_text(rng)
        if _speakable(text):
            return _tidy(text)


def assistant_line(rng: random.Random) -> str:
    """One answer of the assistant, of one or more sentences."""
    return rng.choice([m["content"] for m in dialogue(rng) if m["role"] == "assistant"])


def spoken_lines(rng: random.Random, count: int = 1) -> list[str]:
    """Lines for the speech models: what people ask, what the assistant answers, and sentences of all kinds of words."""
    makers = (user_line, assistant_line, sentence, _words)
    return [rng.choices(makers, (5, 3, 1.5, 1))[0](rng) for _ in range(count)]


def _words(rng: random.Random) -> str:
    return _tidy(something_to_say(rng))


def _user_text(rng: random.Random) -> str:
    speaker = Speaker(rng, rng.random() < 0.1)
    speaker.style, speaker.digits = "written", False
    talk = Talk(speaker, Persona(None), last_answer="Hello.", topic=rng.choice((None, ("capital", ""), ("sound", ""))))
    if rng.random() < 0.15:
        talk.memory = {"name": "Anna", "home": "Rome"}
    return SKILLS[rng.choices(_NAMES, _WEIGHTS)[0]][0](talk)[0]


def _speakable(text: str) -> bool:
    return (
        len(text) < 200
        and all((c.isalpha() and c.isascii()) or c in " ,.?!'-:" for c in text)
        and any(len(w) > 2 for w in text.split())
    )


def _tidy(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."
