"""E-mail and web addresses as they are read aloud: "user at example dot com"."""

from __future__ import annotations

import re
from collections.abc import Callable

from deployments.speech_text.letters import spelled
from deployments.speech_text.numbers import digits
from deployments.speech_text.rule import rule

MAX_PATH_CHARS = 40  # of a web address; a longer path is left out

_SIGNS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", "?": "question mark", "=": "equals",
    "&": "and", ":": "colon", "#": "hash", "+": "plus", "%": "percent", "~": "tilde",
}  # fmt: skip
_READ_AS_WORDS = ("com", "org", "net", "gov", "info", "dev", "app", "shop", "html", "pdf")
_APART = str.maketrans("_-", "  ")  # not read in a path, as elsewhere in text
_TOKEN = re.compile(r"[A-Za-z]+|\d+|.", re.DOTALL)

_HOST = r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
_PATH = r"(?:[/?#][^\s<>\"|]*)?"
_COMMON = "com|org|net|edu|gov|io|ai|dev|app|co|info|me|uk|de|fr|eu|us|ca|au|in|jp|ch|nl|tv"
_LAST = ".,;:!?)]}'*"  # what follows an address rather than being its end


def _read(address: str, word: Callable[[str], str]) -> str:
    """Return every part of an address as words; ``word`` reads those of letters."""
    words = []
    for token in _TOKEN.findall(address):
        if token.isdecimal():
            words.append(digits(token))
        elif token.isalpha():
            words.append(word(token))
        elif token in _SIGNS:
            words.append(_SIGNS[token])
    return " ".join(words)


def _word(word: str) -> str:
    if word.lower() in _READ_AS_WORDS:
        return word.lower()
    return spelled(word) if len(word) < 3 else word.lower()


def _web(match: re.Match[str]) -> str:
    whole = match[0]
    address = whole.rstrip(_LAST)
    host, path = re.match(r"(?:https?://|ftp://)?(?:www\.)?([^/?#]*)(.*)", address, re.DOTALL).groups()  # type: ignore[union-attr]
    path = path.rstrip("/")
    return _read(host + (path if len(path) <= MAX_PATH_CHARS else ""), _word) + whole[len(address) :]


def _word_of_path(word: str) -> str:
    if word == "etc":  # it is no "et cetera" here
        return "et C"
    return spelled(word) if len(word) == 1 else word


def _path(match: re.Match[str]) -> str:
    path = match[0].rstrip(_LAST)
    return _read(path.rstrip("/").translate(_APART), _word_of_path) + match[0][len(path) :]


def _mail(match: re.Match[str]) -> str:
    return _read(match[0].removeprefix("mailto:"), _word)


RULES = (
    rule(rf"(?<![\w.+@-])(?:mailto:)?[\w.+-]{{1,64}}@{_HOST}(?![\w@])", _mail),
    rule(r"(?<!\w)(?:https?|ftp)://[^\s<>\"|]+", _web),
    rule(rf"(?<![\w.@/-])www\.{_HOST}{_PATH}", _web),
    rule(rf"(?<![\w.@/-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,4}}(?:{_COMMON})(?:/[^\s<>\"|]*)?(?![\w@-]|\.\w)", _web),
    # /usr/bin, ~/notes.txt, (/api/v1/users): before the rules of versions and of "or"
    rule(r"(?<![^\s(\"'])~?\.{0,2}/[A-Za-z_.-][\w./-]{0,200}", _path),
)
