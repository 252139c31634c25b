import random

from hypothesis import given
from hypothesis import strategies as st

from pocket.asr import accents

PHONES = st.lists(st.sampled_from([*accents.NEIGHBOURS, "pau", "b", "k", "r", "s"]))


def test_an_accent_says_the_same_sound_for_a_phone_wherever_it_stands() -> None:
    assert accents.put_on({"ae": "eh", "er": "eh r"}, "k ae t er r ae b er") == "k eh t eh r r eh b eh r"


@given(st.integers(), PHONES)
def test_a_phone_becomes_one_of_its_neighbours_or_stays(seed: int, phones: list[str]) -> None:
    accent = accents.draw(random.Random(seed))
    said = [accents.put_on(accent, phone) for phone in phones]
    assert all(new == old or new in accents.NEIGHBOURS[old] for old, new in zip(phones, said, strict=True))
    assert accents.put_on(accent, " ".join(phones)) == " ".join(said)
