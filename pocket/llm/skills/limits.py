"""What it does not do, and pictures that were not sent."""

from pocket.llm.conversation import Talk, Turn
from pocket.llm.elsewhere import REFUSAL, beyond

NO_PICTURE = "I see no picture. Please send me one."


def anything_else(talk: Talk) -> Turn:
    """All that it politely declines."""
    return beyond(talk.speaker), talk.reply(REFUSAL, "sorry")


def look(talk: Talk) -> Turn:
    """A question about a picture that was not sent."""
    asked = talk.speaker.put(
        "what do you see|what do you see in the picture|describe the picture|describe the image|"
        "what is in the picture|what is in this image|what is this|how many circles do you see|"
        "what colour is the square|is there a circle in the picture|what shape is it|what is on the left|"
        "which digit is it|look at this picture|what can you see|what does the picture show|can you see the picture|"
        "what is shown here|what is in the photo|how many shapes are there|which is bigger, the square or the circle|"
        "what is above the triangle|what do you see in this image|describe what you see|tell me what you see|"
        "what number is drawn here"
    )
    return asked, talk.reply(NO_PICTURE, "nothing")
