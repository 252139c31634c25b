"""Sums, differences and products."""

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange, capitalised

_SUMS = {
    "+": (
        "what is {a} plus {b}|how much is {a} plus {b}|{a} plus {b} is|{a} plus {b} is what|{a} plus {b} equals what|"
        "what do I get when I add {a} and {b}|{a} plus {b}|{a} and {b}|what is the sum of {a} and {b}|add {a} and {b}|"
        "{a} + {b}|what is {a} + {b}|{a}+{b}|{a} + {b} =|what do {a} and {b} make|how much is {a} and {b}|"
        "what does {a} plus {b} make|what's {a} plus {b}|calculate {a} plus {b}|add {b} to {a}|"
        "can you add {a} and {b}|the sum of {a} and {b}|what do you get if you add {a} and {b}|"
        "how much do {a} and {b} make together|compute {a} + {b}|{a} plus {b} equals|what is {a} added to {b}|"
        "I have {a} and get {b} more, how many do I have|can you tell me what {a} plus {b} is|work out {a} plus {b}"
    ),
    "-": (
        "what is {a} minus {b}|how much is {a} minus {b}|{a} minus {b} is|{a} minus {b} is what|"
        "{a} minus {b} equals what|if I take {b} from {a} how many are left|"
        "I have {a} and give away {b}, how many are left|{a} minus {b}|{a} - {b}|what is {a} - {b}|{a}-{b}|"
        "{a} - {b} =|subtract {b} from {a}|take {b} away from {a}|what is {a} less {b}|what is {a} take away {b}|"
        "{a} take away {b}|what's {a} minus {b}|calculate {a} minus {b}|what is the difference of {a} and {b}|"
        "how much is left if I take {b} from {a}|what does {a} minus {b} make|can you subtract {b} from {a}|"
        "compute {a} - {b}|{a} minus {b} equals|what do you get if you subtract {b} from {a}|"
        "can you tell me what {a} minus {b} is|work out {a} minus {b}|what is left of {a} without {b}"
    ),
    "*": (
        "what is {a} times {b}|how much is {a} times {b}|{a} times {b} is|{a} times {b} is what|"
        "{a} times {b} equals what|{a} by {b}|what do I get when I multiply {a} by {b}|{a} times {b}|{a} x {b}|"
        "{a} * {b}|what is {a} x {b}|what is {a} * {b}|{a}*{b}|multiply {a} by {b}|multiply {a} and {b}|"
        "what is the product of {a} and {b}|the product of {a} and {b}|{a} times {b} equals|"
        "what is {a} multiplied by {b}|{a} multiplied by {b}|how much is {a} multiplied by {b}|what's {a} times {b}|"
        "{a} × {b}|{a}x{b}|calculate {a} times {b}|what does {a} times {b} make|can you multiply {a} by {b}|"
        "compute {a} * {b}|{a} x {b} =|what do you get if you multiply {a} by {b}|"
        "can you tell me what {a} times {b} is|work out {a} times {b}"
    ),
}


_SIGNS = {"+": "plus", "-": "minus", "*": "times"}


def arithmetic(chat: Conversation) -> Exchange:
    """Return a sum, difference or product of numbers up to twenty."""
    rng, user = chat.rng, chat.user
    sign = rng.choices("+-*", (3, 3, 4))[0]
    a, b = rng.randrange(21), rng.randrange(21)
    if sign == "-" and a < b and rng.random() < 0.6:
        a, b = b, a
    wordings = _SUMS[sign]
    if not user.digits:
        wordings = "|".join(
            w for w in wordings.split("|") if "}" + w.split("}")[1].split("{")[0] + "{" != "}" + sign + "{"
        )
        wordings = "|".join(
            w for w in wordings.split("|") if not any(s in w for s in ("+", " - ", "*", " x ", "×", "}x{", "}-{"))
        )
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    question = user.phrase(wordings, a=user.number(a), b=user.number(b))
    words = facts.words_of(result)
    short = words if 0 <= result <= 100 and " " not in words else str(result)
    return question, chat.reply(
        capitalised(f"{facts.words_of(a)} {_SIGNS[sign]} {facts.words_of(b)} is {words}."), short
    )


def big_sum(chat: Conversation) -> Exchange:
    """Return a sum of larger numbers, and the refusal."""
    rng, user = chat.rng, chat.user
    a, b = rng.randrange(21, 1000), rng.randrange(21, 1000)
    if rng.random() < 0.4:
        a, b = rng.choice(((rng.randrange(21), b), (a, rng.randrange(21))))
    sign = rng.choice("+-*")
    wordings = (
        _SUMS[sign]
        if user.digits
        else f"what is {{a}} {_SIGNS[sign]} {{b}}|how much is {{a}} {_SIGNS[sign]} {{b}}|{{a}} {_SIGNS[sign]} {{b}}"
    )
    return user.phrase(wordings, a=user.number(a), b=user.number(b)), chat.reply(
        "Sorry, I only do sums with numbers up to twenty.", "sorry"
    )
