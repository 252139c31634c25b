"""The field of a request with the spoken language of a recording."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from deployments.language import language_code

SpokenLanguage = Annotated[
    str | None,
    BeforeValidator(language_code),
    Field(
        description="The spoken language, as ISO 639-1 (en), with a region (en-US), or by its English name. "
        "With auto or an empty string the service's setting decides.",
    ),
]
