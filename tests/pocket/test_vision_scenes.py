"""Properties of the generated pictures and questions."""

import random

import numpy as np
import pytest

from pocket.vision import questions, scenes
from pocket.vision.questions import Phrasings, equivalent
from pocket.vision.things import COLOURS, SHAPES, Scene, Thing


@pytest.fixture(scope="module")
def examples() -> list[scenes.Example]:
    return [scenes.sample(random.Random(seed)) for seed in range(250)]


def scene_of_two(left: str, right: str) -> Scene:
    """Return a scene of two things next to each other, each given as "colour kind"."""
    things = [Thing(name.split()[1], name.split()[0], x, 50, 20, 20) for name, x in ((left, 50), (right, 150))]
    return Scene(200, 100, "white", tuple(things))


def test_a_seed_determines_the_example():
    one, other = (scenes.sample(random.Random(11)) for _ in range(2))
    assert one.messages == other.messages
    assert one.scene == other.scene
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))


def test_picture_belongs_to_a_user_message(examples):
    for example in examples:
        assert example.messages[example.image_turn]["role"] == "user"
        assert example.messages[-1]["role"] == "assistant"
        assert example.image.size == (example.scene.width, example.scene.height)


def test_sizes_colours_and_shapes_vary(examples):
    shapes = {thing.kind for example in examples for thing in example.things}
    assert shapes >= set(SHAPES)
    assert {thing.colour for example in examples for thing in example.things} == set(COLOURS)
    assert {len(example.things) for example in examples} == {0, 1, 2, 3, 4}
    aspects = [example.image.width / example.image.height for example in examples]
    assert min(aspects) < 0.5
    assert max(aspects) > 2
    assert all(28 <= side <= 1600 for example in examples for side in example.image.size)


def test_things_are_drawn_at_their_positions(examples):
    for example in examples:
        pixels = np.asarray(example.image.convert("RGB"), float)
        for thing in example.things:
            assert thing.x - thing.half_width + 1.5 >= 0
            assert thing.x + thing.half_width - 1.5 <= example.image.width
            box = pixels[
                max(0, int(thing.y - thing.half_height)) : int(thing.y + thing.half_height) + 1,
                max(0, int(thing.x - thing.half_width)) : int(thing.x + thing.half_width) + 1,
            ]
            # The box has more than one colour, unless the thing fills it.
            assert thing.kind in ("square", "rectangle") or box.std(axis=(0, 1)).max() > 10, example.messages


def test_training_uses_no_held_out_phrasing():
    held_out = {w for value in vars(questions).values() if isinstance(value, Phrasings) for w in value.held_out}
    training = {w for value in vars(questions).values() if isinstance(value, Phrasings) for w in value.training}
    assert len(held_out) > 40
    assert not held_out & training


def test_held_out_examples_cover_all_abilities():
    abilities = {ability for example in scenes.held_out(3, 300) for ability in example.abilities}
    assert abilities >= {"describe", "shape", "colour", "count", "exists", "where", "relation", "size", "digit"}


def test_descriptions():
    assert questions.description(scene_of_two("red circle", "red circle")) == "I see two red circles."
    relation = "I see an orange star to the left of a blue square."
    assert questions.description(scene_of_two("orange star", "blue square")) == relation
    assert questions.description(Scene(9, 9, None, ())) == questions.NOTHING
    digit = Scene(90, 90, "white", (Thing("seven", "black", 45, 45, 20, 30),))
    assert questions.description(digit) == "I see the digit seven in black."


def test_answers_start_with_a_capital_or_digit(examples):
    for example in examples:
        for message in example.messages:
            if message["role"] == "assistant":
                assert message["content"][0].isupper() or message["content"][0].isdigit()


def test_all_template_slots_are_filled(examples):
    assert not any(set("{}") & set(message["content"]) for example in examples for message in example.messages)


def test_equivalent_ignores_the_order_of_a_list_only():
    assert equivalent("I see two red circles and a blue square.", "I see a blue square and two red circles.")
    assert not equivalent("I see two blue circles and a red square.", "I see a blue square and two red circles.")
    assert not equivalent("The circle is above the square.", "The square is above the circle.")
