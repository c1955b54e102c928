"""Ribs and vertebrae of lists and ranges, which share one noun: "3rd to 5th ribs", T3-5, 右侧第3、5肋骨."""

import re
from collections.abc import Iterator

from lib.report.number_words import CHINESE_NUMBER, number_of

_ORDINALS = {
    word: number
    for number, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
         "eleventh", "twelfth"], start=1,
    )
}  # fmt: skip
_RANGE = re.compile(r"[-‐‑–—−~～至到]|to|through", re.I)
_TO = rf"\s?(?:{_RANGE.pattern})\s?"
_AND = rf"(?:{_TO}|\s?(?:[,，、及和与/&]|,?\s?and\b)\s?)"
_N = rf"第?(?:\d{{1,2}}|{CHINESE_NUMBER})(?!\.?\d)"
#: No body has more ribs; without a bound, time would grow with the square of a list.
_LIST = rf"{_N}(?:{_AND}{_N}){{0,12}}"
#: What follows a list whose noun stands after another one, on a side of its own: 右侧第3、5及左侧第4、6肋骨.
_SHARED = rf"[,，、及和与]\s?[左右双]侧?{_LIST}"
_ORDINAL_WORDS = "|".join(_ORDINALS)
_ORDINAL = rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?|{_ORDINAL_WORDS})\b"
_HOW = r"(?:\s(?:anterior|posterior|lateral|left|right))?"
_LETTERS = {"颈": "c", "胸": "t", "腰": "l", "骶": "s"}
_LAST = {"c": 7, "t": 12, "l": 5, "s": 5}
_RIB = "[前后侧腋]?肋(?:骨(?!质))?"
_PHRASES = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"(?<![\d.])(?!两|一肋)(?P<ribs>{_LIST})(?:{_RIB}|(?=(?:{_SHARED}){{1,2}}{_RIB}))",
        rf"(?P<ribs>{_ORDINAL}(?:{_AND}{_ORDINAL}){{0,12}}{_AND}(?:\d{{1,2}}(?:st|nd|rd|th)|{_ORDINAL_WORDS})){_HOW}\sribs?\b",
        rf"\bribs?\s(?P<ribs>\d{{1,2}}(?:{_AND}\d{{1,2}}){{1,12}})\b(?!\.?\d|\s?(?:[cm]m\b|%|x\b|lesion|foc|meta))",
        rf"(?<![\d.])(?P<spine>{_LIST}(?P<of>[颈胸腰骶])椎)体?",
        rf"(?P<spine>(?P<of>[颈胸腰骶])椎?{_N}{_TO}[颈胸腰骶]椎?{_N})(?:椎体?)?",
        rf"(?P<spine>(?P<of>[颈胸腰骶])椎?{_N}(?:{_AND}[颈胸腰骶]?椎?{_N}){{1,12}})椎体?",
        rf"(?<![A-Za-z\d])(?P<spine>(?P<of>[CTLS])\d{{1,2}}(?:{_TO}|/)[CTLS]?\d{{1,2}})"
        r"(?!\.?\d|\s?[NM][0-3x]|\s?[cm]m\b|%)(?:\svertebra(?:e|l bod(?:y|ies))?\b|椎体?)?",
    )
)
_ITEM = re.compile(
    rf"(?P<of>[CTLS颈胸腰骶]?)椎?第?(?P<n>\d{{1,2}}|{CHINESE_NUMBER}|{_ORDINAL_WORDS})(?:st|nd|rd|th)?", re.I
)


def numbered_bones(text: str) -> Iterator[list[tuple[int, int, str]]]:
    """Yield the bones of each list: first and end character, and the concept's id.

    Those within a range have the characters of its end.
    """
    for pattern in _PHRASES:
        for match in pattern.finditer(text):
            found = list(_bones(match, "ribs" if "ribs" in pattern.groupindex else "spine"))
            last = found[-1][0]
            found = [(first, match.end() if first == last else end, id) for first, end, id in found]
            yield [(match.start(), *found[0][1:]), *found[1:]]


def _bones(match: re.Match[str], group: str) -> Iterator[tuple[int, int, str]]:
    of = "rib_" if group == "ribs" else f"vertebra_{_letter(match['of'])}"
    before: str | None = None
    at = match.start(group)
    for item in _ITEM.finditer(match.string, at, match.end(group)):
        if group == "spine" and item["of"]:
            of = f"vertebra_{_letter(item['of'])}"
        number = _ORDINALS.get(item["n"].lower()) or int(number_of(item["n"]))
        id = f"{of}{number}"
        if before and _RANGE.search(match.string, at, item.start()):
            yield from ((item.start(), item.end(), one) for one in _between(before, id))
        yield item.start(), item.end(), id
        before, at = id, item.end()


def _between(first: str, last: str) -> list[str]:
    """Return the ids between two of one kind, from above to below: T12 and L1 between T11 and L2."""
    ids = [f"rib_{number}" for number in range(1, 13)]
    if first.startswith("vertebra_"):
        ids = [f"vertebra_{letter}{number}" for letter in _LAST for number in range(1, _LAST[letter] + 1)]
    if first not in ids or last not in ids:
        return []
    return ids[ids.index(first) + 1 : ids.index(last)]


def _letter(word: str) -> str:
    return _LETTERS.get(word, word.lower())
