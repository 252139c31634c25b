"""The spoken language, as people and clients name it; pure."""

from __future__ import annotations

import re
from typing import Any

AUTO = "auto"
_CODE = re.compile(r"[a-z]{2,3}")

# English names of the languages that recognizers of OpenAI's kind have.
_NAMES = """
af afrikaans, sq albanian, am amharic, ar arabic, hy armenian, as assamese, az azerbaijani, ba bashkir, eu basque,
be belarusian, bn bengali, bs bosnian, br breton, bg bulgarian, my burmese, yue cantonese, es castilian, ca catalan,
zh chinese, hr croatian, cs czech, da danish, nl dutch, en english, et estonian, fo faroese, fi finnish, nl flemish,
fr french, gl galician, ka georgian, de german, el greek, gu gujarati, ht haitian creole, ht haitian, ha hausa,
haw hawaiian, he hebrew, hi hindi, hu hungarian, is icelandic, id indonesian, it italian, ja japanese, jw javanese,
kn kannada, kk kazakh, km khmer, ko korean, lo lao, la latin, lv latvian, lb letzeburgesch, ln lingala, lt lithuanian,
lb luxembourgish, mk macedonian, mg malagasy, ms malay, ml malayalam, mt maltese, zh mandarin, mi maori, mr marathi,
ro moldavian, ro moldovan, mn mongolian, my myanmar, ne nepali, no norwegian, nn nynorsk, oc occitan, pa panjabi,
ps pashto, fa persian, pl polish, pt portuguese, pa punjabi, ps pushto, ro romanian, ru russian, sa sanskrit,
sr serbian, sn shona, sd sindhi, si sinhala, si sinhalese, sk slovak, sl slovenian, so somali, es spanish,
su sundanese, sw swahili, sv swedish, tl tagalog, tg tajik, ta tamil, tt tatar, te telugu, th thai, bo tibetan,
tr turkish, tk turkmen, uk ukrainian, ur urdu, uz uzbek, ca valencian, vi vietnamese, cy welsh, yi yiddish, yo yoruba
"""
_CODES = {name: code for code, _, name in (entry.strip().partition(" ") for entry in _NAMES.split(","))}


def language_code(value: Any) -> Any:
    """Return the ISO 639-1 code of a language that is given by its code, with a region, or by its English name.

    Return ``None`` for ``auto`` and no language, and anything but text unchanged. Raise ``ValueError`` for other text.
    """
    if not isinstance(value, str):
        return value
    name = value.strip().lower().replace("_", "-")
    if name in ("", AUTO):
        return None
    code = _CODES.get(name, name.partition("-")[0])
    if not _CODE.fullmatch(code):
        raise ValueError("should be a language such as en, en-US or English")
    return code
