"""Which language a text is in, and texts that nobody can use."""

import re
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

#: A text of more characters is no report: some 15 pages.
MOST_CHARACTERS = 50_000
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
#: What is left of bytes that were no UTF-8, and other characters that no text holds.
_BROKEN = re.compile(r"[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class ReportError(ValueError):
    """A text, table or file that cannot be used; the message is one sentence that says why."""


def language_of(text: str) -> Language:
    """Return the language that most of a text is in: a Chinese character counts as half a Latin word.

    Latin words in Chinese reports are names and units (SUVmax, FDG, ml); English reports hold no Chinese.
    """
    return "zh" if len(_CHINESE.findall(text)) > 2 * len(_LATIN_WORD.findall(text)) / 4 else "en"


def check_text(text: str, what: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text that can be read.

    Args:
        text: as it came.
        what: its name in the sentence, such as "The findings".
        most: characters.

    Raises:
        ReportError: it is too long, or holds characters that come from another encoding than UTF-8.
    """
    if not isinstance(text, str):
        raise ReportError(f"{what} must be a text.")
    if len(text) > most:
        raise ReportError(f"{what} has {len(text)} characters; more than {most} are no report.")
    if broken := _BROKEN.search(text):
        raise ReportError(
            f"{what} holds a character that cannot be read (number {broken.start() + 1}): save it as UTF-8."
        )
    return text


def readable(text: str) -> str:
    """Return a text without the characters that `check_text` refuses: what a model wrote may hold some."""
    return _BROKEN.sub("", text)
