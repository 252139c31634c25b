"""System prompts in many phrasings, and the name and role of the assistant that they specify."""

import random
from dataclasses import dataclass

from pocket.llm.facts import DAYS, NAMES, PLACES
from pocket.llm.tables import items, names
from pocket.llm.words import WORDS, invented

NAME, ROLE = "Parley", "a small voice assistant"

_KINDS = items(
    "pirate|robot|teacher|waiter|tour guide|librarian|doctor|nurse|gardener|butler|wizard|chef|cook|pilot|captain|"
    "farmer|shop assistant|receptionist|museum guide|coach|cat|dog|dragon|knight|king|queen|detective|scientist|"
    "student|grandmother|voice assistant|chat assistant|assistant|kitchen helper|toy|parrot|sailor|baker|painter|"
    "musician|reporter|ghost|elf|travel agent|bus driver|train conductor|language tutor|maths tutor|companion|"
    "storyteller|clown|astronaut|postman|mechanic"
)
_ADJECTIVES = names(
    "friendly helpful small little cheerful polite grumpy old young brave funny wise clever talking patient "
    "calm tiny happy kind"
)

_PROMPTS = items(
    "You are {n}, {r}.|You are {n}, {r}.|You are {n}, {r}.|You are {r} called {n}.|You are {r} named {n}.|"
    "Your name is {n}. You are {r}.|Your name is {n} and you are {r}.|You're {n}, {r}.|Act as {n}, {r}.|"
    "I want you to be {n}, {r}.|You are {r}. Your name is {n}.|You play {n}, {r}.|Name: {n}. Role: {r}.|"
    "you are {n}, {r}|Pretend to be {n}, {r}.|Speak as {n}, {r}.|This is a chat with {n}, {r}.|"
    "You are {n} and you are {r}.|From now on you are {n}, {r}."
)
_NAME_ONLY = items("You are {n}.|Your name is {n}.|You are called {n}.|Call yourself {n}.")
_ROLE_ONLY = items("You are {r}.|Act as {r}.|You play {r}.")
ONE_WORD = items(
    "Answer in one word.|Answer with one word.|Answer with one word only.|Answer in one word only.|"
    "Always answer in one word.|Reply with a single word.|Use one word for every answer.|One-word answers only.|"
    "Give one-word answers.|Answer with a single word.|Only answer with one word.|Please answer in one word.|"
    "answer in one word|Your answers are one word long.|Reply in one word.|You answer in one word.|"
    "Respond with one word.|Use only one word to answer.|Answer every question with one word."
)
_INSTRUCTIONS = items(
    "Be brief.|Be polite.|Answer in one or two short sentences.|Be friendly.|Keep it short.|Speak plainly.|"
    "Your answers are read aloud.|Answer in English.|Help the user.|Use plain words.|Be kind and patient.|"
    "Do not use lists.|Answer shortly.|You speak with people on the phone.|Never make things up.|"
    "Answer in full sentences.|Use simple English.|You help people with small questions.|Speak slowly.|"
    "Answer in short, plain sentences.|Answer in short sentences.|Keep your answers short.|You can hear and speak.|"
    "Answer briefly.|Your answers will be spoken.|You like {w}.|Never talk about {w}.|You know a lot about {w}.|"
    "You live in a {w}.|Be {w}.|Always be {w} and {v}.|Do not mention the {w}.|The people you talk to like {w}.|"
    "Today is {d}."
)
_PLAIN = items(
    "You are a helpful assistant.|"
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions.|"
    "You are a helpful, respectful and honest assistant.|You are an AI assistant."
)


@dataclass(frozen=True)
class Persona:
    """The assistant of one conversation; `prompt` is the system message, if there is one."""

    prompt: str | None
    name: str = NAME
    role: str | None = ROLE
    one_word: bool = False

    @property
    def introduction(self) -> str:
        """Return the answer to "who are you"."""
        return f"I am {self.name}, {self.role}." if self.role else f"I am {self.name}."


def random_persona(rng: random.Random) -> Persona:
    """Return a random persona; a fifth have no prompt or only the request for one word."""
    one_word = rng.random() < 0.19
    kind = rng.choices(("none", "default", "plain", "both", "name", "role", "manner"), (20, 12, 5, 42, 9, 6, 6))[0]
    if kind == "none":
        return Persona(rng.choice(ONE_WORD), one_word=True) if one_word else Persona(None)
    name, role, prompt = NAME, ROLE, ""
    if kind == "default":
        prompt = rng.choice(_PROMPTS[:3] + _PROMPTS).format(n=name, r=role)
    elif kind == "plain":
        prompt = rng.choice(_PLAIN)
        role = {"You are an AI assistant.": "an AI assistant"}.get(prompt, "a helpful assistant")
        if "honest" in prompt:
            role = "a helpful, respectful and honest assistant"
        elif "curious" in prompt:
            role = "an artificial intelligence assistant"
    elif kind != "manner":
        name = _name(rng) if kind != "role" else NAME
        role = _role(rng) if kind != "name" else None
        prompt = rng.choice({"both": _PROMPTS, "name": _NAME_ONLY, "role": _ROLE_ONLY}[kind]).format(n=name, r=role)
    parts = [prompt] if prompt else []
    if rng.random() < 0.3 or not parts:
        slots = {"w": rng.choice(WORDS), "v": rng.choice(WORDS), "d": rng.choice(DAYS)}
        parts += [instruction.format_map(slots) for instruction in rng.sample(_INSTRUCTIONS, rng.randrange(1, 3))]
    if one_word:
        parts.insert(rng.choice((0, len(parts), len(parts))), rng.choice(ONE_WORD))
    return Persona(rng.choice((" ", " ", " ", "\n")).join(parts), name, role, one_word)


def _name(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(NAMES)
    if kind < 0.55:
        return rng.choice(WORDS).capitalize()
    if kind < 0.62:
        return rng.choice(("Doctor ", "Captain ", "Mister ", "Aunt ", "Uncle ", "Professor ")) + rng.choice(NAMES)
    return invented(rng).capitalize()


def _role(rng: random.Random) -> str:
    noun = rng.choice(_KINDS) if rng.random() < 0.75 else rng.choice(WORDS)
    if rng.random() < 0.4:
        noun = f"{rng.choice(_ADJECTIVES)} {noun}"
    if rng.random() < 0.25:
        noun += rng.choice((" in ", " from ", " of ")) + rng.choice(PLACES)
    elif rng.random() < 0.2:
        clause = rng.choice(
            (
                "who likes {w}",
                "that likes {w}",
                "who lives in {p}",
                "that can see pictures",
                "that helps people",
                "for {w}",
                "with a {w}",
                "that answers questions about {w}",
                "who sells {w}",
                "who knows the {w}",
                "of the {w}",
            )
        )
        noun += " " + clause.format(w=rng.choice(WORDS), p=rng.choice(PLACES))
    if rng.random() < 0.06:
        return "the " + noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun
