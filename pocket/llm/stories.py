"""Generated stories of three to six sentences about a given animal."""

import random

from pocket.llm.tables import items, names

_ADJECTIVES = names(
    "little young old brave clever kind curious friendly lazy hungry happy shy quiet proud gentle cheerful"
)
_HOMES = items(
    "in a green forest|near a quiet river|on a small farm|by the sea|in an old garden|under a tall tree|"
    "behind a red barn|on a high hill|at the edge of a village|in a warm meadow|next to a blue lake|in a big park"
)
_FRIENDS = names("bird frog mouse owl rabbit squirrel duck hedgehog cat dog bee goat")
_THINGS = items(
    "golden key|red ball|shiny stone|lost shoe|blue feather|little bell|old map|bright lantern|wooden boat|warm scarf"
)
_WISHES = items(
    "to see the world|to find a friend|to learn to sing|to swim across the lake|to climb the highest hill|"
    "to touch the moon|to see the snow|to dance|to taste honey|to find a new home"
)
_WEATHERS = items(
    "a storm came|it began to rain|the snow fell|the wind blew hard|the night was dark|the sun was very hot"
)
_ENDS = items(
    "From that day on, they were the best of friends.|That night, the {a} slept very well.|"
    "And the {a} was happy ever after.|Everybody was glad, and the {a} smiled.|"
    "The {a} went home and told everyone about it.|And so the {a} learned that a friend is better than gold."
)

_PLOTS = (
    # found something that belongs to a friend
    (
        "Once there was {d} {a} who lived {h}.",
        "One morning, the {a} found {t} in the grass.",
        "It belonged to {f} who had looked for it all day.",
        "The {a} gave it back at once.",
        "The {fb} was so glad that they shared a big dinner.",
    ),
    # a wish
    (
        "{D} {a} lived {h}.",
        "The {a} wanted {w}.",
        "So one day it packed a small bag and walked away.",
        "On the way it met {f}, and they went on together.",
        "In the evening the wish came true.",
    ),
    # bad weather
    (
        "Once upon a time, {d} {a} lived {h}.",
        "One day {r}, and the {a} was afraid.",
        "Then it heard {f} crying behind a bush.",
        "The {a} took the {fb} home and made some warm soup.",
        "They told each other jokes until the morning.",
    ),
    # a race
    (
        "There was once {d} {a} who lived {h}.",
        "{F} said that nobody could win a race against it.",
        "The {a} only laughed and started to run.",
        "Near the end the {fb} fell, and the {a} stopped to help.",
        "They crossed the line together.",
    ),
    # something hidden
    (
        "{D} {a} had a house {h}.",
        "One night the {a} heard a strange noise.",
        "It took a lamp and looked behind the door.",
        "There sat {f} with {t} as a present.",
        "It was the birthday of the {a}, and it had forgotten it.",
    ),
)


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def story(rng: random.Random, animal: str, adjective: str | None = None) -> str:
    """Return a random story of three to six sentences about `animal`."""
    hero = _with_article(adjective or rng.choice(_ADJECTIVES))
    other = rng.choice([friend for friend in _FRIENDS if friend != animal])
    friend = _with_article(other)
    slots = {
        "a": animal,
        "d": hero,
        "D": hero[0].upper() + hero[1:],
        "h": rng.choice(_HOMES),
        "f": friend,
        "F": friend[0].upper() + friend[1:],
        "fb": other,
        "t": _with_article(rng.choice(_THINGS)),
        "w": rng.choice(_WISHES),
        "r": rng.choice(_WEATHERS),
    }
    plot = rng.choice(_PLOTS)
    lines = [line.format_map(slots) for line in plot]
    if rng.random() < 0.25:
        lines = lines[:-1]
    return " ".join([*lines, rng.choice(_ENDS).format_map(slots)])
