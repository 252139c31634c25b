"""Facts that users state about themselves, and questions about them."""

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, capitalised, enumerated
from pocket.llm.words import WORDS, invented

MEMORIES = ("name", "colour", "animal", "food", "home")


_TELL = {
    "name": (
        "my name is {v}|I am {v}|I'm {v}|remember my name is {v}|remember that my name is {v}|"
        "please remember my name, it is {v}|so you know my name, I am {v}|call me {v}|you can call me {v}|"
        "people call me {v}|I am called {v}|my name's {v}|hello, my name is {v}|hi, I am {v}|hi, I'm {v}|"
        "hello, I'm {v}|this is {v}|the name is {v}|this is {v} speaking|please call me {v}|everybody calls me {v}|"
        "{v} is my name|hello, this is {v}|let me introduce myself, I am {v}"
    ),
    "colour": (
        "my favourite colour is {v}|my favorite color is {v}|I like {v} best of all colours|I love the colour {v}|"
        "the colour I like best is {v}|{v} is my favourite colour|{v} is my favorite color|my best colour is {v}|"
        "the color I like most is {v}|I like the colour {v} most|my favorite colour is {v}|"
        "of all colours I like {v} best"
    ),
    "animal": (
        "my favourite animal is the {v}|my favorite animal is the {v}|my favourite animal is a {v}|"
        "the animal I like best is the {v}|the {v} is my favourite animal|the {v} is my favorite animal|"
        "my best animal is the {v}|of all animals I like the {v} best|the animal I love most is the {v}|"
        "my favorite animal is a {v}|I like the {v} most of all animals"
    ),
    "food": (
        "my favourite food is {v}|my favorite food is {v}|I like to eat {v} best|the food I like best is {v}|"
        "{v} is my favourite food|{v} is my favorite food|what I like to eat most is {v}|I love to eat {v}|"
        "I like eating {v} most|my favourite dish is {v}|the best food for me is {v}|of all food I like {v} best"
    ),
    "home": (
        "I live in {v}|my home is in {v}|I am living in {v}|I'm living in {v}|my house is in {v}|my home town is {v}|"
        "I come from {v}|I am from {v}|I'm from {v}|my flat is in {v}|the place where I live is {v}|"
        "I have a house in {v}|I live with my family in {v}|the city I live in is {v}"
    ),
}


_CORRECT = {
    "name": "no, my name is {v}|actually my name is {v}|my name is not {o}, it is {v}|sorry, I am {v}|"
    "I changed my name to {v}|actually, call me {v}",
    "colour": "no, my favourite colour is {v}|now my favourite colour is {v}|actually my favorite color is {v}|"
    "my favourite colour is not {o}, it is {v}",
    "animal": "no, my favourite animal is the {v}|now my favourite animal is the {v}|"
    "actually my favorite animal is the {v}|my favourite animal is not the {o}, it is the {v}",
    "food": "no, my favourite food is {v}|now my favourite food is {v}|actually my favorite food is {v}|"
    "my favourite food is not {o}, it is {v}",
    "home": "now I live in {v}|I moved to {v}|actually I live in {v}|I don't live in {o}, I live in {v}|"
    "I have moved to {v}|we moved from {o} to {v}",
}


_RECALL = {
    "name": (
        "what is my name|what's my name|do you remember what I am called|what did I say my name is|whats my name|"
        "who am I|do you know my name|do you remember my name|tell me my name|can you tell me my name|say my name|"
        "how am I called|what was my name|my name, what is it|what did I say my name was|do you still know my name|"
        "what is my name again|remember my name|could you say my name|what name did I tell you|who is speaking to you|"
        "what am I called|do you know who I am"
    ),
    "colour": (
        "what is my favourite colour|what's my favorite color|what color do I like|what colour did I say I like|"
        "my favourite colour, what is it|which colour do I like|which color do I like best|"
        "tell me my favourite colour|do you remember my favorite color|do you know my favourite colour|"
        "what colour do I like best|what was my favourite colour|what is my favorite color|"
        "my favourite colour is which one|which is my favourite colour|do you know which colour I like"
    ),
    "animal": (
        "what is my favourite animal|what's my favorite animal|what animal do I like|what animal did I say I like|"
        "which animal do I like|which animal do I like best|tell me my favourite animal|"
        "do you remember my favorite animal|do you know my favourite animal|what animal do I like best|"
        "what was my favourite animal|what is my favorite animal|which is my favourite animal|"
        "do you know which animal I like"
    ),
    "food": (
        "what is my favourite food|what's my favorite food|what food do I like|what food did I say I like|"
        "what do I like to eat|which food do I like best|tell me my favourite food|do you remember my favorite food|"
        "do you know my favourite food|what food do I like best|what was my favourite food|what is my favorite food|"
        "which is my favourite food|do you know what I like to eat|what do I like to eat best"
    ),
    "home": (
        "where do I live|where is my home|what city do I live in|in which city do I live|which town do I live in|"
        "do you remember my home|in which place do I live|do you know where I live|do you remember where I live|"
        "tell me where I live|where did I say I live|which city do I live in|what is my home town|where am I from|"
        "where do I come from|where is my house|can you tell me where I live|where was it that I live"
    ),
}


_VALUE = {"name": "{v}", "colour": "{v}", "animal": "the {v}", "food": "{v}", "home": "{v}"}


_LABEL = {"name": "name", "colour": "favourite colour", "animal": "favourite animal", "food": "favourite food"}


def _value(chat: Conversation, what: str) -> str:
    rng = chat.rng
    table = {
        "colour": facts.PAINTS,
        "animal": facts.ANIMALS,
        "food": facts.FOODS,
        "home": facts.PLACES,
        "name": facts.NAMES,
    }[what]
    if what == "name" and rng.random() < 0.35:
        return invented(rng).capitalize()
    if what == "name" and rng.random() < 0.08:
        return f"{rng.choice(table)} {invented(rng).capitalize()}"
    if what == "home" and rng.random() < 0.2:
        return invented(rng).capitalize() + rng.choice(("", "ville", " City", "ton"))
    if what in ("colour", "animal", "food") and rng.random() < 0.15:
        return rng.choice(WORDS)
    return rng.choice(table)


def _statement(what: str, value: str) -> str:
    if what == "home":
        return f"you live in {value}"
    return f"your {_LABEL[what]} is {_VALUE[what].format(v=value)}"


def tell(chat: Conversation) -> Exchange:
    """Return a statement of the user about themself, or a correction."""
    what = chat.rng.choice(MEMORIES)
    old = chat.memory.get(what)
    value = _value(chat, what)
    while value == old:
        value = _value(chat, what)
    wordings = _CORRECT[what] if old and chat.rng.random() < 0.6 else _TELL[what]
    question = chat.user.phrase(wordings, "statement", v=value, o=old)
    value = chat.in_style(value)
    chat.memory[what] = value
    if what == "name":
        return question, chat.reply(f"Nice to meet you, {value}.", "hello")
    return question, chat.reply(f"I will remember that {_statement(what, value)}.", "okay")


def tell_two(chat: Conversation) -> Exchange:
    """Return two statements in one message."""
    first, second = chat.rng.sample(MEMORIES, 2)
    values = {what: _value(chat, what) for what in (first, second)}
    parts = [chat.user.rng.choice(_TELL[what].split("|")[:3]).format(v=values[what]) for what in (first, second)]
    question = chat.user.phrase("{x} and {y}|{x}, and {y}|{x} but {y}", "statement", x=parts[0], y=parts[1])
    chat.memory.update({what: chat.in_style(value) for what, value in values.items()})
    statements = [_statement(what, chat.memory[what]) for what in (first, second)]
    return question, chat.reply(f"I will remember that {statements[0]} and {statements[1]}.", "okay")


def recall(chat: Conversation) -> Exchange:
    """Return a question about an earlier statement, or about one that was never made."""
    known = list(chat.memory)
    what = chat.rng.choice(known) if known and chat.rng.random() < 0.85 else chat.rng.choice(MEMORIES)
    question = chat.user.phrase(_RECALL[what])
    value = chat.memory.get(what)
    if value is None:
        missing = "where you live" if what == "home" else f"your {_LABEL[what]}"
        return question, chat.reply(f"You have not told me {missing} yet.", "unknown")
    return question, chat.reply(capitalised(_statement(what, value)) + ".", value)


def what_you_know(chat: Conversation) -> Exchange:
    """Return a question about all earlier statements."""
    question = chat.user.phrase(
        "what do you know about me|what have I told you about me|what did I tell you about myself|"
        "tell me what you know about me|what do you remember about me|say all that you know about me"
    )
    if not chat.memory:
        return question, chat.reply("You have not told me anything about you yet.", "nothing")
    if chat.persona.one_word:
        return recall(chat)
    return question, capitalised(
        enumerated([_statement(what, chat.memory[what]) for what in MEMORIES if what in chat.memory])
    ) + "."
