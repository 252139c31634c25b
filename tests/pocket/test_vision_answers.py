"""The bundled vision model in llama-cpp-python, on simple pictures."""

from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw, ImageFont

from pocket.vision import evaluate, scenes
from pocket.vision.questions import NOTHING

EXPECTED_SHARE = 0.66
"""The expected share of right answers."""


@pytest.fixture(scope="module")
def model() -> Iterator[evaluate.VisionModel]:
    model = evaluate.VisionModel()
    yield model
    model.close()


def answer_to(model: evaluate.VisionModel, image: Image.Image, question: str) -> str:
    return model.answer(image, [{"role": "user", "content": question}])


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
def test_describes_two_red_circles(model: evaluate.VisionModel, size: tuple[int, int], question: str):
    assert answer_to(model, two_red_circles(*size), question) == "I see two red circles."


def test_answers_questions_about_one_picture(model: evaluate.VisionModel):
    picture = two_red_circles(300, 200)
    assert answer_to(model, picture, "How many circles are there?") == "There are two circles."
    assert answer_to(model, picture, "is there a blue square") == "No, there is no blue square."


def test_describes_a_blue_square_on_black(model: evaluate.VisionModel):
    assert answer_to(model, blue_square(), "What do you see?") == "I see a blue square."
    assert answer_to(model, blue_square(), "what colour is the square") == "The square is blue."


def test_describes_three_green_triangles_in_a_row(model: evaluate.VisionModel):
    assert answer_to(model, three_green_triangles(), "What do you see?") == "I see three green triangles."


@pytest.mark.parametrize(("text", "name"), [("0", "zero"), ("3", "three"), ("4", "four"), ("7", "seven")])
def test_recognizes_a_printed_digit(model: evaluate.VisionModel, text: str, name: str):
    assert answer_to(model, digit(text), "What digit is this?") == f"It is a {name}."


def test_answers_a_follow_up_question(model: evaluate.VisionModel):
    chat = [
        {"role": "user", "content": "what shape is this"},
        {"role": "assistant", "content": "It is a square."},
        {"role": "user", "content": "and what colour is it"},
    ]
    assert "blue" in model.answer(blue_square(), chat)


def test_answers_in_one_word_if_the_system_prompt_requires_it(model: evaluate.VisionModel):
    chat = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What shape is it?"}]
    assert model.answer(blue_square(), chat, image_turn=1) == "Square."


def test_describes_an_empty_picture(model: evaluate.VisionModel):
    assert answer_to(model, Image.new("RGB", (300, 300), "white"), "What do you see?") == NOTHING


def test_answers_depend_on_the_present_picture_of_a_sequence(model: evaluate.VisionModel):
    pictures = {
        "I see two red circles.": two_red_circles(320, 240),
        "I see a blue square.": blue_square(),
        "I see three green triangles.": three_green_triangles(),
        NOTHING: Image.new("RGB", (64, 64), "white"),
    }
    for expected in [*pictures, *reversed(pictures), *pictures]:
        assert answer_to(model, pictures[expected], "What do you see?") == expected


def test_answers_are_repeatable_in_a_sequence(model: evaluate.VisionModel):
    figures = evaluate.evaluate_sequence(model, seed=4, count=6)
    assert figures["same_as_before"] == figures["of"]


def test_share_of_right_answers_to_held_out_questions(model: evaluate.VisionModel):
    # CARD.md has the measured share of more pictures; this limit detects damaged or much worse weights.
    assert evaluate.evaluate_examples(model, scenes.held_out(77, 60))["share"] >= EXPECTED_SHARE - 0.12
