"""The shipped vision model on the pictures that people try first, through llama-cpp-python."""

from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw, ImageFont

from pocket.vision import evaluate, scenes
from pocket.vision.questions import NOTHING

SHIPPED_SHARE = 0.66
"""Of right answers, in CARD.md."""


@pytest.fixture(scope="module")
def viewer() -> Iterator[evaluate.Viewer]:
    viewer = evaluate.Viewer()
    yield viewer
    viewer.close()


def ask(viewer: evaluate.Viewer, image: Image.Image, question: str) -> str:
    return viewer.answer(image, [{"role": "user", "content": question}])


def two_red_circles(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw, radius = ImageDraw.Draw(image), height / 5
    for x in (0.28 * width, 0.72 * width):
        draw.ellipse((x - radius, height / 2 - radius, x + radius, height / 2 + radius), fill="red")
    return image


def blue_square() -> Image.Image:
    image = Image.new("RGB", (256, 256), "black")
    ImageDraw.Draw(image).rectangle((78, 78, 178, 178), fill="blue")
    return image


def three_green_triangles() -> Image.Image:
    image = Image.new("RGB", (400, 200), "white")
    draw = ImageDraw.Draw(image)
    for x in (70, 200, 330):
        draw.polygon([(x, 60), (x - 45, 140), (x + 45, 140)], fill="green")
    return image


def digit(text: str) -> Image.Image:
    image = Image.new("RGB", (120, 160), "white")
    ImageDraw.Draw(image).text((40, 30), text, fill="black", font=ImageFont.load_default(size=90))
    return image


@pytest.mark.parametrize("size", [(200, 200), (640, 480), (1280, 720)])
@pytest.mark.parametrize("question", ["what do you see", "What do you see?", "Describe the picture."])
def test_two_red_circles(viewer: evaluate.Viewer, size: tuple[int, int], question: str):
    assert ask(viewer, two_red_circles(*size), question) == "I see two red circles."


def test_questions_about_one_picture(viewer: evaluate.Viewer):
    picture = two_red_circles(300, 200)
    assert ask(viewer, picture, "How many circles are there?") == "There are two circles."
    assert ask(viewer, picture, "is there a blue square") == "No, there is no blue square."


def test_a_blue_square_on_black(viewer: evaluate.Viewer):
    assert ask(viewer, blue_square(), "What do you see?") == "I see a blue square."
    assert ask(viewer, blue_square(), "what colour is the square") == "The square is blue."


def test_three_green_triangles_in_a_row(viewer: evaluate.Viewer):
    assert ask(viewer, three_green_triangles(), "What do you see?") == "I see three green triangles."


@pytest.mark.parametrize(("text", "name"), [("0", "zero"), ("3", "three"), ("4", "four"), ("7", "seven")])
def test_a_printed_digit(viewer: evaluate.Viewer, text: str, name: str):
    assert ask(viewer, digit(text), "What digit is this?") == f"It is a {name}."


def test_a_follow_up(viewer: evaluate.Viewer):
    chat = [
        {"role": "user", "content": "what shape is this"},
        {"role": "assistant", "content": "It is a square."},
        {"role": "user", "content": "and what colour is it"},
    ]
    assert "blue" in viewer.answer(blue_square(), chat)


def test_one_word_where_the_system_prompt_wants_it(viewer: evaluate.Viewer):
    chat = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What shape is it?"}]
    assert viewer.answer(blue_square(), chat, image_turn=1) == "Square."


def test_an_empty_picture(viewer: evaluate.Viewer):
    assert ask(viewer, Image.new("RGB", (300, 300), "white"), "What do you see?") == NOTHING


def test_each_picture_of_a_sequence_is_answered_for_itself(viewer: evaluate.Viewer):
    shown = {
        "I see two red circles.": two_red_circles(320, 240),
        "I see a blue square.": blue_square(),
        "I see three green triangles.": three_green_triangles(),
        NOTHING: Image.new("RGB", (64, 64), "white"),
    }
    for expected in [*shown, *reversed(shown), *shown]:
        assert ask(viewer, shown[expected], "What do you see?") == expected


def test_an_answer_does_not_depend_on_the_pictures_before_it(viewer: evaluate.Viewer):
    figures = evaluate.in_sequence(viewer, seed=4, count=6)
    assert figures["same_as_before"] == figures["of"]


def test_held_out_pictures_are_answered_as_well_as_the_card_says(viewer: evaluate.Viewer):
    # The bar of the project is 0.95; CARD.md says how far below it the shipped weights are. This notices a worse file.
    assert evaluate.judged(viewer, scenes.held_out(77, 60))["share"] >= SHIPPED_SHARE - 0.12
