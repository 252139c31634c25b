"""Generated conversations: the training data of the language model, and sentences for the speech models.

All random draws come from the given `random.Random`, so a seed determines the conversation. With `held_out`, all
questions have phrasings that training never uses.
"""

import random

from pocket.llm.conversation import Conversation
from pocket.llm.out_of_scope import pasted
from pocket.llm.persona import Persona, random_persona
from pocket.llm.phrasing import SimulatedUser
from pocket.llm.skills import SKILLS
from pocket.llm.skills.words import sentence, words_or_sentence

Message = dict[str, str]

_NAMES = tuple(SKILLS)
_WEIGHTS = tuple(weight for _, weight in SKILLS.values())
_IN_CAPITALS = (
    "capital",
    "arithmetic",
    "opposite",
    "colour",
    "sound",
    "calendar",
    "counting",
    "greeting",
    "who_are_you",
)
_JOINABLE = ("capital", "arithmetic", "opposite", "colour", "sound", "calendar")


def dialogue(rng: random.Random, held_out: bool = False) -> list[Message]:
    """Return a random conversation: sometimes a system message, then alternating user and assistant messages."""
    return labelled_dialogue(rng, held_out)[0]


def labelled_dialogue(
    rng: random.Random, held_out: bool = False, ability: str | None = None
) -> tuple[list[Message], str]:
    """Return a random conversation and the ability of its last exchange, which is `ability` if given."""
    persona = random_persona(rng)
    chat = Conversation(SimulatedUser(rng, held_out), persona)
    messages: list[Message] = [{"role": "system", "content": persona.prompt}] if persona.prompt else []
    count = _exchange_count(rng)
    plan = rng.choices(_NAMES, _WEIGHTS, k=count)
    if ability:
        plan[-1] = ability
    if (plan[-1] == "recall" or rng.random() < 0.25) and count > 1:
        plan = _with_memories(rng, plan)
    for name in plan:
        topic = chat.topic
        question, answer = SKILLS[name][0](chat)
        if chat.topic is topic:
            chat.topic = None
        if rng.random() < 0.04 and name in (*_JOINABLE, "tell") and not chat.persona.one_word:
            question, answer = _two_questions(chat, question, answer)
        question = _perturbed(rng, question, name)
        if name != "say_again":
            chat.last_answer = answer
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages, plan[-1]


def long_dialogue(rng: random.Random, words: int) -> list[Message]:
    """Return a conversation of at least about `words` words: many exchanges, or a long message of the user."""
    messages = dialogue(rng)
    if rng.random() < 0.5:
        refusal = SKILLS["anything_else"][0](Conversation(SimulatedUser(rng), Persona(None)))[1]
        one_word = any(
            m["role"] == "system" and "one" in m["content"].lower() and "word" in m["content"].lower() for m in messages
        )
        start = 1 if messages[0]["role"] == "system" else 0
        exchange = [
            {"role": "user", "content": pasted(rng, words)},
            {"role": "assistant", "content": "Sorry." if one_word else refusal},
        ]
        return messages[:start] + exchange + messages[start:]
    return _many_exchanges(rng, words)


def _many_exchanges(rng: random.Random, words: int) -> list[Message]:
    persona = random_persona(rng)
    chat = Conversation(SimulatedUser(rng), persona)
    messages: list[Message] = [{"role": "system", "content": persona.prompt}] if persona.prompt else []
    count = 0
    while count < words:
        name = rng.choices(_NAMES, _WEIGHTS)[0]
        question, answer = SKILLS[name][0](chat)
        chat.last_answer = answer
        chat.topic = None
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        count += len(question.split()) + len(answer.split())
    return messages


def _perturbed(rng: random.Random, question: str, name: str) -> str:
    """Rarely change the message to capitals, or add spaces and punctuation."""
    if rng.random() < 0.02 and name in _IN_CAPITALS:
        question = question.upper()
    if rng.random() < 0.025 and name != "echo":
        question = rng.choice((" {}", "{} ", "{}\n", "{}??", "{}!!", "{}...", "{} ?", "{}  ", "\n{}")).format(question)
    return question


def _exchange_count(rng: random.Random) -> int:
    return rng.choices((1, 2, 3, 4, 5, 6, 8, 12), (22, 18, 16, 14, 12, 8, 7, 3))[0]


def _with_memories(rng: random.Random, plan: list[str]) -> list[str]:
    """Add exchanges at the start in which the user states facts that `recall` needs later."""
    statements = [rng.choices(("tell", "tell_two"), (5, 1))[0] for _ in range(rng.choice((1, 1, 2, 3)))]
    plan = [*statements, *plan]
    if len(plan) > 3 and rng.random() < 0.5:
        plan.insert(rng.randrange(2, len(plan)), rng.choice(("tell", "recall")))
    return plan


def _two_questions(chat: Conversation, question: str, answer: str) -> tuple[str, str]:
    """Return two questions in one message and both answers."""
    chat.topic = None
    other, reply = SKILLS[chat.rng.choice(_JOINABLE)][0](chat)
    link = " and " if chat.user.style == "lower" else chat.rng.choice((" And ", " "))
    return question + link + other, f"{answer} {reply}"


def user_line(rng: random.Random) -> str:
    """Return a message of a user in normal written English."""
    while True:
        text = _user_text(rng)
        if _speakable(text):
            return _as_sentence(text)


def assistant_line(rng: random.Random) -> str:
    """Return an answer of the assistant, of one or more sentences."""
    return rng.choice([m["content"] for m in dialogue(rng) if m["role"] == "assistant"])


def speech_lines(rng: random.Random, count: int = 1) -> list[str]:
    """Return texts for the speech models: questions, answers, sentences and lists of words."""
    makers = (user_line, assistant_line, sentence, _words)
    return [rng.choices(makers, (5, 3, 1.5, 1))[0](rng) for _ in range(count)]


def _words(rng: random.Random) -> str:
    return _as_sentence(words_or_sentence(rng))


def _user_text(rng: random.Random) -> str:
    user = SimulatedUser(rng, rng.random() < 0.1)
    user.style, user.digits = "written", False
    chat = Conversation(
        user, Persona(None), last_answer="Hello.", topic=rng.choice((None, ("capital", ""), ("sound", "")))
    )
    if rng.random() < 0.15:
        chat.memory = {"name": "Anna", "home": "Rome"}
    return SKILLS[rng.choices(_NAMES, _WEIGHTS)[0]][0](chat)[0]


def _speakable(text: str) -> bool:
    return (
        len(text) < 200
        and all((c.isalpha() and c.isascii()) or c in " ,.?!'-:" for c in text)
        and any(len(w) > 2 for w in text.split())
    )


def _as_sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."
