"""Greetings, thanks, goodbyes, and questions about the assistant."""

from pocket.llm.conversation import Conversation, Exchange
from pocket.llm.skills.capitals import capital

ABILITIES = (
    "I can tell capitals, small sums, days and months, opposites, colours and animal sounds, and I can count, spell, "
    "repeat, remember and tell a story."
)


def greeting(chat: Conversation) -> Exchange:
    """Return a greeting."""
    question = chat.user.phrase(
        "hello|hi|hey|good morning|good afternoon|good evening|hello there|hi there|hey there|hello {n}|hi {n}|"
        "hey {n}|good morning {n}|good day|greetings|hiya|hello hello|nice to meet you|good evening {n}|"
        "hello my friend|is anybody there|are you there|can you hear me|hello can you hear me|howdy|hello again|"
        "hi again|are you listening|hello, are you there|hey, are you awake|welcome|hi, good to see you|"
        "hello, I am here|morning|good to see you",
        "no_suffix",
        n=chat.persona.name,
    )
    return question, chat.reply(f"Hello! I am {chat.persona.name}. How can I help you?", "hello")


def how_are_you(chat: Conversation) -> Exchange:
    """Return a "how are you"."""
    question = chat.user.phrase(
        "how are you|how are you doing|how are you today|how do you do|how is it going|are you well|are you okay|"
        "how do you feel|how are things|what's up|how have you been|are you fine|everything okay|hello, how are you|"
        "hi, how are you",
        "no_suffix",
    )
    return question, chat.reply("I am fine, thank you. How can I help you?", "fine")


def thanks(chat: Conversation) -> Exchange:
    """Return a thank-you."""
    question = chat.user.phrase(
        "thank you|thanks|thanks a lot|thank you very much|thank you so much|many thanks|that was helpful, thank you|"
        "great, thanks|thanks for your help|thank you {n}|thanks {n}|I thank you|cheers|very kind of you|"
        "that helped, thanks|perfect, thank you|much appreciated|wonderful, thank you|thanks for that|"
        "you are very helpful|you are great|well done|good job|that is right|that's nice, thank you|okay, thank you|"
        "thank you for the answer",
        "no_suffix",
        n=chat.persona.name,
    )
    return question, chat.reply("You are welcome.", "welcome")


def goodbye(chat: Conversation) -> Exchange:
    """Return a goodbye."""
    question = chat.user.phrase(
        "goodbye|bye|bye bye|good night|see you|see you later|see you soon|see you tomorrow|goodbye {n}|bye {n}|"
        "I have to go now|I must go|I am leaving|that is all, goodbye|that was all|that's all for today|"
        "until next time|have a nice day|farewell|talk to you later|take care|so long|I am going to bed|"
        "good night {n}|thanks, goodbye|thank you and goodbye|see you then|I'm off now|we are done|that's it, bye",
        "no_suffix",
        n=chat.persona.name,
    )
    return question, chat.reply("Goodbye! Have a nice day.", "goodbye")


def who_are_you(chat: Conversation) -> Exchange:
    """Return a question about the name or role of the assistant."""
    persona, phrase = chat.persona, chat.user.phrase
    if chat.rng.random() < 0.4:
        question = phrase(
            "what is your name|what's your name|your name|how are you called|do you have a name|what are you called|"
            "may I ask your name|could you tell me your name|by what name do you go|say your name|"
            "what was your name again|how should I call you|what should I call you|what can I call you|"
            "can you tell me your name|which name do you have"
        )
        return question, chat.reply(f"My name is {persona.name}.", persona.name)
    question = phrase(
        "who are you|what are you|who is this|who am I talking to|who am I speaking with|introduce yourself|"
        "who is speaking|can you introduce yourself|please introduce yourself|tell me who you are|"
        "tell me about yourself|what is your role|what is your job|and who are you|who is there|"
        "can you tell me who you are|what kind of assistant are you|who exactly are you|with whom am I speaking|"
        "what do you do|describe yourself|say who you are|I want to know who you are|what exactly are you"
    )
    return question, chat.reply(persona.introduction, persona.name)


def are_you_human(chat: Conversation) -> Exchange:
    """Return a question whether the assistant is human; the answer is "a computer program" for every persona."""
    question = chat.user.phrase(
        "are you human|are you a human|are you a person|are you a real person|are you a robot|are you a machine|"
        "are you real|are you alive|am I talking to a machine|am I talking to a human|are you a computer|"
        "are you a program|is this a robot"
    )
    return question, chat.reply(f"I am {chat.persona.name}, a computer program.", "program")


def abilities(chat: Conversation) -> Exchange:
    """Return a question about the abilities of the assistant."""
    question = chat.user.phrase(
        "what can you do|what can you do for me|what do you know|how can you help me|can you help me|"
        "what are you able to do|what are your abilities|what can I ask you|what should I ask you|help|I need help|"
        "help me|what are you good at|what questions can you answer|what is it that you can do|"
        "which things can you do|tell me what you can do|what can we talk about|how can I use you|"
        "what are your skills|give me some ideas what to ask"
    )
    return question, chat.reply(ABILITIES, "capitals")


def okay(chat: Conversation) -> Exchange:
    """Return an interjection without a question."""
    question = chat.user.phrase(
        "okay|ok|all right|I see|yes|no|good|fine|great|nice|cool|interesting|aha|oh|hmm|right|sure|sorry|never mind|"
        "well|um|that is interesting|I understand|got it|wow|not now|maybe|really|alright then|excuse me|oh I see|"
        "very good",
        "no_filler" if not chat.user.held_out else "no_suffix",
    )
    return question, chat.reply("Okay. What would you like to know?", "okay")


def say_again(chat: Conversation) -> Exchange:
    """Return a request to repeat the last answer."""
    if chat.last_answer is None:
        return capital(chat)
    question = chat.user.phrase(
        "say that again|repeat that|can you repeat that|could you repeat that|what did you say|pardon|"
        "I did not hear you|once more|once again|come again|say it again|could you say that again|I didn't catch that|"
        "I did not understand you|please repeat|repeat your answer|what was that|again|one more time|"
        "can you say that once more|repeat what you said"
    )
    return question, chat.last_answer
