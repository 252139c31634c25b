"""Requests that the assistant refuses, and questions about a missing picture."""

from pocket.llm.conversation import Conversation, Exchange
from pocket.llm.out_of_scope import REFUSAL, out_of_scope_message

NO_PICTURE = "I see no picture. Please send me one."


def anything_else(chat: Conversation) -> Exchange:
    """Return a request outside the abilities, and the refusal."""
    return out_of_scope_message(chat.user), chat.reply(REFUSAL, "sorry")


def missing_picture(chat: Conversation) -> Exchange:
    """Return a question about a picture in a conversation without one."""
    question = chat.user.phrase(
        "what do you see|what do you see in the picture|describe the picture|describe the image|"
        "what is in the picture|what is in this image|what is this|how many circles do you see|"
        "what colour is the square|is there a circle in the picture|what shape is it|what is on the left|"
        "which digit is it|look at this picture|what can you see|what does the picture show|can you see the picture|"
        "what is shown here|what is in the photo|how many shapes are there|which is bigger, the square or the circle|"
        "what is above the triangle|what do you see in this image|describe what you see|tell me what you see|"
        "what number is drawn here"
    )
    return question, chat.reply(NO_PICTURE, "nothing")
