"""The application. ``build`` is the only place that binds deployments to each other.

Without postponed annotations: Ray Serve reads the type of ``args`` to validate them.
"""

# Ray's decorators add bind and options, which mypy does not see.
# mypy: disable-error-code="attr-defined"

from ray.serve import Application

from deployments.asr import SpeechToText
from deployments.llm import ChatLLM
from deployments.tts import TextToSpeech
from graphs.gateway import Gateway
from graphs.pipeline.plan import Stage
from graphs.settings import AppArgs


def build(args: AppArgs) -> Application:
    """Return the application; ``import_path: graphs.app:build`` in serve_config.yaml names this function."""
    return Gateway.bind(
        args.gateway,
        {
            Stage.ASR: args.speech_to_text.public_name,
            Stage.LLM: args.text_llm.public_name,
            Stage.VISION: args.vision_llm.public_name,
            Stage.TTS: args.text_to_speech.public_name,
        },
        tts=TextToSpeech.bind(args.text_to_speech),  # deployments start in this order, the slowest first
        asr=SpeechToText.bind(args.speech_to_text),
        llm=ChatLLM.options(name="TextLLM").bind(args.text_llm),
        vision=ChatLLM.options(name="VisionLLM").bind(args.vision_llm),
    )
