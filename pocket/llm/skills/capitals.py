"""Capitals of countries, and countries of capitals."""

from pocket.llm import facts
from pocket.llm.conversation import Conversation, Exchange
from pocket.llm.words import invented


def _country(chat: Conversation) -> tuple[str, str]:
    """Return a name of a country for the question, and one for the answer."""
    country = chat.rng.choice(tuple(facts.CAPITALS))
    aliases = facts.COUNTRY_ALIASES.get(country, ())
    return (chat.rng.choice(aliases) if aliases and chat.rng.random() < 0.6 else country), country


def _capital_answer(chat: Conversation, country: str) -> str:
    city = facts.CAPITALS[country]
    return chat.reply(f"The capital of {country} is {city}.", city)


def capital(chat: Conversation) -> Exchange:
    """Return a question about a capital or its country."""
    rng, phrase = chat.rng, chat.user.phrase
    alias, country = _country(chat)
    if rng.random() < 0.13:
        city = facts.CAPITALS[country]
        if list(facts.CAPITALS.values()).count(city) > 1:
            return capital(chat)
        question = phrase(
            "{t} is the capital of which country|of which country is {t} the capital|"
            "which country has {t} as its capital|{t} is the capital of what|what country is {t} the capital of|"
            "which country's capital is {t}|whose capital is {t}|in which country is {t}|what country is {t} in|"
            "which country does {t} belong to|where is {t}",
            t=city,
        )
        word = country.removeprefix("the ")
        if chat.persona.one_word:
            return question, chat.reply("", word)
        return question, f"{city} is the capital of {country}."
    if rng.random() < 0.04:
        return _is_capital(chat, alias, country)
    if chat.topic and chat.topic[0] == "capital" and rng.random() < 0.4:
        question = phrase(
            "and of {c}|and {c}|what about {c}|how about {c}|and for {c}|and the capital of {c}|and what about {c}|"
            "and that of {c}|now {c}|the same for {c}|what of {c}|and how about {c}|{c}",
            c=alias,
        )
    else:
        question = phrase(
            "what is the capital of {c}|what's the capital of {c}|{c} capital|capital city of {c}|{c}'s capital|"
            "what is {c}'s capital city|what is {c}'s capital called|which city is {c}'s capital|"
            "whats the capital of {c}|which city is the capital of {c}|capital of {c}|the capital of {c}|"
            "what is the capital city of {c}|name the capital of {c}|tell me the capital of {c}|"
            "can you tell me what the capital of {c} is|do you know the capital of {c}|"
            "what city is the capital of {c}|what capital does {c} have|which capital does {c} have|"
            "I would like to know the capital of {c}|give me the capital of {c}|could you tell me the capital of {c}|"
            "what is {c}'s capital|where is the government of {c}|the capital of {c} is|"
            "do you happen to know what the capital of {c} is|what would be the capital of {c}|"
            "I want to know what the capital of {c} is|which is the capital of {c}|which town is the capital of {c}|"
            "what do you call the capital of {c}|how is the capital of {c} called|"
            "what is the name of the capital of {c}|for {c}, what is the capital|{c}, what is its capital|"
            "remind me of the capital of {c}|I forgot the capital of {c}|can you name the capital of {c}|"
            "{c} has which capital|say the capital of {c}",
            c=alias,
        )
    chat.topic = ("capital", country)
    return question, _capital_answer(chat, country)


def _is_capital(chat: Conversation, alias: str, country: str) -> Exchange:
    city, other = facts.CAPITALS[country], chat.rng.choice(tuple(facts.CAPITALS.values()))
    named = chat.rng.choice((city, other))
    question = chat.user.phrase(
        "is {t} the capital of {c}|is the capital of {c} {t}|the capital of {c} is {t}, is that right|"
        "am I right that {t} is the capital of {c}|{t} is the capital of {c}, isn't it|"
        "is it true that {t} is the capital of {c}",
        t=named,
        c=alias,
    )
    chat.topic = ("capital", country)
    verdict = "Yes" if named == city else "No"
    return question, chat.reply(f"{verdict}, the capital of {country} is {city}.", verdict)


def unknown_capital(chat: Conversation) -> Exchange:
    """Return a question about the capital of an invented country."""
    invented_country = invented(chat.rng).capitalize() + chat.rng.choice(("", "", "ia", "land"))
    question = chat.user.phrase(
        "what is the capital of {c}|capital of {c}|tell me the capital of {c}|do you know the capital of {c}",
        c=invented_country,
    )
    return question, chat.reply(f"Sorry, I do not know the capital of {chat.in_style(invented_country)}.", "sorry")
