"""Whether a number of a text is one that is known."""

import re
from collections.abc import Iterable

from lib.report.number_words import DIGITS, value_of
from lib.report.quantities import Quantity

_ABOUT = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|nearly|almost|~|≈|约|大约|近|左右)\s*$", re.I
)
_APPROXIMATE = 0.1
#: What is said of all lesions together, before its number.
_OF_ALL = re.compile(
    r"(?:\bTMTV|\b(?:total|whole[- ]body)\s(?:metabolic\s)?(?:tumou?r\s)?(?:volume|MTV|TLG|lesion glycolysis)"
    r"|(?:总|全身)(?:肿瘤|病灶)?(?:代谢)?(?:体积|MTV|TLG|糖酵解总?量))[^\d.;。；]{0,20}$",
    re.I,
)
_NUMBER = re.compile(rf"{DIGITS}(?:(?:[.．]|,(?=\d{{1,2}}(?!\d)))(\d+))?")

Known = tuple[str, float]


def same_kind(one: str, other: str) -> bool:
    """Whether two kinds of number can be the same: "SUV" alone is SUVmax."""
    return one == other or {one, other} == {"suv", "suv_max"}


def is_of_all(text: str, said: Quantity) -> bool:
    """Whether a text calls a number the total of all lesions, such as TMTV."""
    digit = next((at for at in range(said.start, said.end) if text[at].isdigit()), said.end)
    return bool(_OF_ALL.search(text, max(0, digit - 60), digit))


def known_numbers(quantities: Iterable[Quantity]) -> list[Known]:
    """Return the kinds and values of numbers of a text."""
    return [(one.kind, value) for one in quantities for value in _values(one)]


def supported(text: str, said: Quantity, known: Iterable[Known]) -> bool:
    """Whether each number of a quantity is known, as far as it was written out.

    Rounding to the digits that were written is no difference, nor are 10 % of a whole number after "about".
    "More than 5" is supported by a number in that range too.
    """
    alike = [value for kind, value in known if same_kind(kind, said.kind)]
    is_bound = said.low < said.high and (said.high == float("inf") or said.low == 0)
    if is_bound and any(said.low <= value <= said.high for value in alike):
        return True
    about = bool(_ABOUT.search(text[max(0, said.start - 16) : said.start]))
    halves = _half_digits(text, said)
    for place, value in enumerate(_values(said)):
        half = halves[min(place, len(halves) - 1)]
        is_whole = not any(_digits(text, said))
        near = max(half, _APPROXIMATE * abs(value) if about and is_whole else 0.0) + 1e-9
        if not any(abs(value - one) <= near for one in alike):
            return False
    return True


def _values(quantity: Quantity) -> tuple[float, ...]:
    ends = tuple(end for end in (quantity.low, quantity.high) if 0 < end < float("inf"))
    return quantity.values or tuple(dict.fromkeys(ends))


def _digits(text: str, said: Quantity) -> list[str]:
    """Return the decimals of each number as it was written."""
    return _NUMBER.findall(text[said.start : said.end])


def _half_digits(text: str, said: Quantity) -> list[float]:
    """Return half of each number's last written digit, in the quantity's unit."""
    written = _NUMBER.findall(text[said.start : said.end]) or [""]
    matches = [match.group() for match in _NUMBER.finditer(text[said.start : said.end])]
    values = _values(said)
    scale = 1.0
    if matches and values and value_of(matches[0]):
        scale = abs(values[0]) / value_of(matches[0])
    return [0.5 * scale * 10.0 ** -len(digits) for digits in written]
