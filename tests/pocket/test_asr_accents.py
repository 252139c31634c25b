import random

from hypothesis import given
from hypothesis import strategies as st

from pocket.asr import accents

PHONES = st.lists(st.sampled_from([*accents.NEIGHBOURS, "pau", "b", "k", "r", "s"]))


def test_replaces_a_phone_everywhere_by_the_same_phones() -> None:
    assert accents.apply({"ae": "eh", "er": "eh r"}, "k ae t er r ae b er") == "k eh t eh r r eh b eh r"


@given(st.integers(), PHONES)
def test_keeps_a_phone_or_replaces_it_by_one_of_its_neighbours(seed: int, phones: list[str]) -> None:
    accent = accents.draw(random.Random(seed))
    phones_in_accent = [accents.apply(accent, phone) for phone in phones]
    assert all(new == old or new in accents.NEIGHBOURS[old] for old, new in zip(phones, phones_in_accent, strict=True))
    assert accents.apply(accent, " ".join(phones)) == " ".join(phones_in_accent)
