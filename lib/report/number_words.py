"""Numbers as they are written: in digits, "1,363.7", and in words to ninety-nine, "twenty-five", 二十五."""

import re

#: Whole digits, parted by thousands or not. Atomic: "1,363.7" is never read as 1, nor "3,8" as 38.
DIGITS = r"(?>[1-9]\d{0,2}(?:,\d{3})+(?!\d)|\d{1,6})"

#: A number's decimals, after a point or a comma: "5,6" is 5.6, but "7,5,4" is a list and "7, 5" another.
DECIMALS = r"(?:\.\d{1,4}|(?<!,\d)(?<!,\d\d),\d{1,2}(?![.,]?\d))"
_COMMA = re.compile(r",(?=\d{1,2}$)")

_ONES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
}  # fmt: skip
_TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90,
}  # fmt: skip
_ENGLISH = _ONES | _TEENS | _TENS
_CHINESE = {digit: value for value, digit in enumerate("一二三四五六七八九", start=1)} | {"两": 2, "单": 1}
_DIGITS = "一二三四五六七八九"


def _or(words: dict[str, int]) -> str:
    return "|".join(words)


#: Neither begins nor ends within a longer number: "one hundred five", "five hundred", "hundred twenty-five".
ENGLISH_NUMBER = (
    "".join(rf"(?<!\b{word}[\s-])" for word in (*_TENS, "hundred", "thousand", "hundred and", "thousand and"))
    + rf"(?:(?:{_or(_TENS)})(?:[\s-](?:{_or(_ONES)})\b|(?![\s-](?:{_or(_ONES)})\b))"
    + rf"|{_or(_TEENS)}|{_or(_ONES)})"
    + r"\b(?![\s-](?:hundred|thousand|dozen)\b)"
)
#: What no number in Chinese stands directly behind, else it is the end of a longer one; 数十 is "dozens".
CHINESE_BEGINS = rf"(?<![\d{_DIGITS}两十百千万零〇几])(?<!(?<![总灶节])数)"
CHINESE_NUMBER = rf"(?:[{_DIGITS}]?十[{_DIGITS}]?|[{_DIGITS}两])"
#: Between two digits that are a range without a word for it: 两三个.
CHINESE_BETWEEN = rf"(?<=[{_DIGITS}两])(?<!十[{_DIGITS}])(?=[{_DIGITS}])"


def value_of(digits: str) -> float:
    """Return the value of a number in digits, with its sign, as the patterns find it."""
    return float(_COMMA.sub(".", digits).replace(",", "").replace("−", "-").replace("．", "."))


def number_of(word: str) -> float:
    """Return what a number in digits, or in words as the patterns here find them, says."""
    if word.isdecimal():
        return float(word)
    if word[0].isascii():
        return float(sum(_ENGLISH[part] for part in word.lower().replace("-", " ").split()))
    tens, ten, ones = word.rpartition("十")
    return float((_CHINESE.get(tens, 1) * 10 if ten else 0) + (_CHINESE[ones] if ones else 0))
