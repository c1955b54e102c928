"""Numbers of a report: SUV, size, volume, count, Deauville, percent, with their units and ranges."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from lib.report.number_words import (
    CHINESE_BEGINS,
    CHINESE_BETWEEN,
    CHINESE_NUMBER,
    DECIMALS,
    DIGITS,
    ENGLISH_NUMBER,
    number_of,
    value_of,
)

QuantityKind = Literal[
    "suv_max", "suv_mean", "suv_peak", "suv", "size", "volume", "tlg", "count", "deauville", "percent"
]
Unit = Literal["g/mL", "mm", "ml", "g", "%"]


@dataclass(frozen=True)
class Quantity:
    """A number of a text, or several that belong together ("2.1 x 1.8 cm", "SUVmax 3.2-5.4").

    Args:
        kind: what is measured.
        low: the least of the numbers, in `unit`; 0 of "less than 5".
        high: the greatest; infinite of "more than 5".
        unit: None of a count and a Deauville score.
        start: first character of the number.
        end: the character after the number and its unit.
        values: the numbers as written, in `unit`.
    """

    kind: QuantityKind
    low: float
    high: float
    unit: Unit | None
    start: int
    end: int
    values: tuple[float, ...] = ()


_NUMBER = rf"(?<![\d.]){DIGITS}{DECIMALS}?(?!\d)"
#: A minus sign; in "SUVmax 2.1-3.3" and "SUVmax - 3.3" it is a dash.
_MINUS = r"(?:(?<=[\s:：=为])[-−](?=\d))?"
_RANGE = r"\s?(?:-|–|—|~|～|−|to|至|到)\s?"
_TIMES = r"\s?(?:[x×✕*＊X]|by|乘)\s?"
_BOUND = (
    r"(?P<below><|＜|≤|less than|below|under|smaller than|小于|不足|低于|不超过|at most)?"
    r"(?P<above>>|＞|≥|greater than|more than|above|over|exceeding|larger than|大于|超过|高于|at least)?\s?"
)
_LENGTH = r"(?P<unit>mm|cm|毫米|厘米|公分|㎜|㎝|millimet(?:er|re)s?|centimet(?:er|re)s?)(?![a-zA-Z²³2-3])"
_SUV = re.compile(
    r"(?=[Ss标摄])(?P<name>SUV|standardi[sz]ed uptake value|标准摄取值|标准化摄取值|摄取值)"
    r"(?P<of>[\s_-]?(?:lbm|bw|bsa)?[\s_-]?\(?(?:max|mean|avg|average|ave|peak|最大值|平均值|峰值|最大|平均|maximum)?\)?)"
    r"(?P<site>\s(?:(?:of|in)\s(?:[a-z]+\s){1,6}?)?(?:has\s|have\s)?"
    r"(?:de|in)creas(?:ed|ing)(?=\sfrom\s))?"
    r"(?:\s?(?:value|values|of|is|was|are|were|up to|=|:|：|approximately|approx\.?|about|"
    r"around|measuring|measures|reaching|to|from|~|≈|≒|\(|（|,|，|the|a|"
    r"最大值|平均值|峰值|最大|平均|值|约为|约|为|分别为|达到|达|高达|最高达|最高|范围|介于|在|从|由|可达|大约|均|maximum|max|range|"
    r"ranging|ranges|between|with|now|currently|measured)){0,6}\s?"
    + _BOUND + rf"(?P<first>{_MINUS}{_NUMBER})(?:(?:{_RANGE}|(?P<each>\s?(?:and|和|、|"
    rf"及)\s?))(?P<second>{_NUMBER})(?!\s?(?:cm|mm|x|×|%|个|枚)))?(?:\s?g/ml)?",
    re.I,
)  # fmt: skip
_PLAIN_SUV = re.compile(
    rf"(?P<of>max(?:imum)?|mean|peak|最高|最大|平均)\s?SUV\s?(?:of|is|was|为|约|=|:|：|值)?\s?(?:为|"
    rf"约)?\s?(?P<first>{_NUMBER})",
    re.I,
)
_SIZE = re.compile(
    _BOUND + rf"(?P<first>{_NUMBER})\s?(?:mm|cm|毫米|"
    rf"厘米)?(?:(?P<times>{_TIMES})(?P<second>{_NUMBER})\s?(?:mm|"
    rf"cm)?(?:{_TIMES}(?P<third>{_NUMBER}))?"
    rf"|{_RANGE}(?P<upto>{_NUMBER}))?[\s-]?" + _LENGTH,
    re.I,
)  # fmt: skip
_VOLUME = re.compile(
    _BOUND + rf"(?P<first>{_NUMBER})(?:{_RANGE}(?P<upto>{_NUMBER}))?\s?(?P<unit>ml|cm3|cm³|cc|毫升|"
    rf"立方厘米|mL)(?![a-zA-Z])",
    re.I,
)
_TLG = re.compile(
    rf"(?=[T病糖])(?:TLG|total lesion glycolysis|病灶糖酵解总量|糖酵解总量)\s?(?:of|is|was|=|:|：|约为|约|"
    rf"为)?\s?(?P<first>{_NUMBER})(?:\s?g)?\b",
    re.I,
)
_PERCENT = re.compile(
    _BOUND + rf"(?P<first>{_NUMBER})(?:\s?[%％]?{_RANGE}(?P<upto>{_NUMBER}))?\s?(?:%|％|percent|per cent)",
    re.I,
)
#: Also "IV" and the sign Ⅳ.
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, **dict(zip("ⅠⅡⅢⅣⅤ", range(1, 6), strict=True))}
_SCORE = r"(?:[1-5](?!\.?\d)|(?:I{1,3}|I?V)(?![A-Za-z])|[Ⅰ-Ⅴ])"
_DEAUVILLE = re.compile(
    r"(?:Deauville|多维尔|D5PS|5-PS)(?:'s)?\s?(?:score|scale|criteria|grade|"
    r"five[- ]point scale|5[- ]point scale|评分|标准|五分法|5分法|分级)?"
    r"(?:\s?(?:of|is|was|=|:|：|为|约|评分|score|,|\())*\s?"
    rf"(?P<first>{_SCORE})(?:\s?(?:-|"
    rf"–|to|至|or|/|~)\s?(?P<second>{_SCORE}))?(?:\s?分)?",
    re.I,
)  # fmt: skip
_COUNTED = (
    r"(?:lesion|nodule|mass|node|lymph node|focus|foci|metasta|deposit|site|area|region|"
    r"tumou?r|cyst|uptake|hypermetabolic|"
    r"hot spot|implant|calcification|fracture|polyp|effusion|abscess|nodal|adenopath|granuloma)"
)
_EN_COUNT = re.compile(
    rf"\b(?P<first>{ENGLISH_NUMBER}|\d{{1,2}})"
    rf"(?:{_RANGE}(?P<second>{ENGLISH_NUMBER}|\d{{1,2}}))?(?=[\s-](?:(?!cycle|month|week|day|year|hour|minute|course|dose|of\b|"
    rf"line|fraction|centim|millim)[a-z][\w/-]*,?\s){{0,5}}?{_COUNTED})",
    re.I,
)  # fmt: skip
_ZH_COUNT = re.compile(
    rf"{CHINESE_BEGINS}(?P<first>\d{{1,3}}|{CHINESE_NUMBER})(?:(?:\s?[-–~～至到、]\s?|{CHINESE_BETWEEN})"
    rf"(?P<second>\d{{1,3}}|{CHINESE_NUMBER}))?\s?(?:余)?(?P<word>个|枚|处|颗|粒)(?!月|周|疗程|周期|小时|半月)"
)
_TIMES_COUNT = re.compile(r"(?<=[a-z)] )(?P<first>[x×]\s?\d{1,2})(?![\d.]|\s?(?:\d|cm|mm|x))", re.I)
_SIZES: dict[str, float] = {"m": 1.0, "c": 10.0, "毫": 1.0, "厘": 10.0, "公": 10.0, "㎜": 1.0, "㎝": 10.0}
_NOT_COUNTED = re.compile(
    r"\b(?:segment|level|station|stage|grade|deauville|score|type|zone|SUV\w*|cycle|"
    r"figure|image|series|T|N|M)\s?$",
    re.I,
)


def find_quantities(text: str) -> list[Quantity]:
    """Return all numbers of a text with a known meaning, in their order; of "2.1 x 1.8 cm" each is one."""
    found: list[Quantity] = []
    taken: list[tuple[int, int]] = []
    for pattern, read in _READERS:
        before, at = taken, 0
        mine: list[tuple[int, int]] = []
        for match in pattern.finditer(text):
            start, end = match.start("first"), match.end()
            while at < len(before) and before[at][1] <= start:
                at += 1
            if (at < len(before) and before[at][0] < end) or (mine and start < mine[-1][1]):
                continue
            if quantities := read(match, text):
                quantities += _at_other_times(quantities[-1], text)
                mine.append((start, quantities[-1].end))
                found += quantities
        taken = sorted(before + mine)
    return sorted(found, key=lambda quantity: quantity.start)


_OTHER_TIME = re.compile(
    r"\s?(?:g/ml|mm|cm|ml)?\s?[)）,，;；]?\s?(?:->|→|=>|(?:[(（\[]\s?)?(?:previously|prior|"
    r"previous|formerly|before|initially|was|earlier"
    r"|compared (?:with|to)|versus|vs\.?|前次|上次|原为|原|此前|之前|既往|治疗前)"
    r"(?:\s?(?:of|was|为|约|:|：|value|SUV\s?max|MTV|measuring|exam|study|scan))*|(?:变为|降至|"
    r"升至|降为|升为|减至|增至|降到|升到|上升至|下降至"
    r"|增加至|减少至|缩小至|增大至|increased to|decreased to|fell to|rose to|and now|now)(?:约)?)"
    rf"\s?(?P<first>{_NUMBER})" + r"(?![\d.]*\d|\s?[%％/年月])\s?(?P<unit>mm|cm|ml|毫米|厘米|毫升)?",
    re.I,
)  # fmt: skip


def _at_other_times(quantity: Quantity, text: str) -> list[Quantity]:
    """Return the same quantity at another time: "SUVmax 5.3, previously 14.0", "4.0 -> 7.2"."""
    found: list[Quantity] = []
    if quantity.kind in ("count", "deauville", "percent"):
        return found
    while match := _OTHER_TIME.match(text, quantity.end):
        length, unit = quantity.unit == "mm", match.group("unit")
        if length and not unit:
            break
        value = value_of(match.group("first")) * (_SIZES[unit[0].lower()] if length else 1)
        quantity = Quantity(
            quantity.kind, value, value, quantity.unit, match.start("first"), match.end(), (value,)
        )
        found.append(quantity)
    return found


def _between(
    kind: QuantityKind, match: re.Match[str], unit: Unit | None, numbers: list[float]
) -> list[Quantity]:
    bounds = match.groupdict()
    low, high = min(numbers), max(numbers)
    if bounds.get("below"):
        low = 0.0
    elif bounds.get("above"):
        high = math.inf
    return [Quantity(kind, low, high, unit, match.start("first"), match.end(), tuple(numbers))]


def _each(
    kind: QuantityKind, match: re.Match[str], unit: Unit | None, factor: float, names: list[str]
) -> list[Quantity]:
    """Return each number as a quantity of its own."""
    names = [name for name in names if match.group(name)]
    found = []
    for name in names:
        value = round(value_of(match.group(name)) * factor, 6)
        end = match.end() if name == names[-1] else match.end(name)
        found.append(Quantity(kind, value, value, unit, match.start(name), end, (value,)))
    return found


def _numbers(match: re.Match[str], *names: str, factor: float = 1.0) -> list[float]:
    groups = match.groupdict()
    return [round(value_of(groups[name]) * factor, 6) for name in ("first", *names) if groups.get(name)]


def _suv(match: re.Match[str], text: str) -> list[Quantity]:
    of = match.group(0)[: match.start("first") - match.start()].lower()
    of = of.replace((match.groupdict().get("site") or "").lower(), "")  # a "maxillary node" is no maximum
    kind: QuantityKind = "suv"
    if re.search("max|最大|最高", of):
        kind = "suv_max"
    elif re.search("mean|avg|average|ave|平均", of):
        kind = "suv_mean"
    elif re.search("peak|峰值", of):
        kind = "suv_peak"
    groups = match.groupdict()
    ranges = re.search("rang|范围|介于|between", of)
    if groups.get("second") and not ranges and (groups.get("each") or re.search("from|由|从", of)):
        return _each(kind, match, "g/mL", 1.0, ["first", "second"])
    return _between(kind, match, "g/mL", _numbers(match, "second"))


def _size(match: re.Match[str], text: str) -> list[Quantity]:
    factor = _SIZES[match.group("unit")[0].lower()]
    if match.group("times"):
        return _each("size", match, "mm", factor, ["first", "second", "third"])
    return _between("size", match, "mm", _numbers(match, "upto", factor=factor))


def _volume(match: re.Match[str], text: str) -> list[Quantity]:
    return _between("volume", match, "ml", _numbers(match, "upto"))


def _tlg(match: re.Match[str], text: str) -> list[Quantity]:
    return _between("tlg", match, "g", _numbers(match))


def _percent(match: re.Match[str], text: str) -> list[Quantity]:
    return _between("percent", match, "%", _numbers(match, "upto"))


def _deauville(match: re.Match[str], text: str) -> list[Quantity]:
    scores = [match[name].upper() for name in ("first", "second") if match[name]]
    return _between("deauville", match, None, [float(_ROMAN.get(one) or one) for one in scores])


def _count(match: re.Match[str], text: str) -> list[Quantity]:
    if _NOT_COUNTED.search(text[max(0, match.start() - 12) : match.start()]):
        return []
    words = (match.group("first"), match.groupdict().get("second"))
    numbers = [number_of(word.lstrip("xX× ")) for word in words if word]
    return _between("count", match, None, numbers)


_READERS = (
    (_SUV, _suv), (_PLAIN_SUV, _suv), (_SIZE, _size), (_VOLUME, _volume), (_TLG, _tlg), (_PERCENT, _percent),
    (_DEAUVILLE, _deauville),
    (_EN_COUNT, _count), (_ZH_COUNT, _count), (_TIMES_COUNT, _count),
)  # fmt: skip
