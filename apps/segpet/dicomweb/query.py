"""QIDO-RS: which studies, series and instances are meant (PS3.18 10.6, matching as PS3.4 C.2.2.2)."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from apps.segpet.dicomweb.model import Json

_MOST_RESULTS = 10_000
#: Characters of a query's names and values.
LONGEST = 8000
_RANGES = ("DA", "TM", "DT")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_OURS = ("limit", "offset", "fuzzymatching", "includefield", "emptyvaluematching", "multiplevaluematching")


class QueryError(ValueError):
    """A query that cannot be answered; the message is one sentence that says why."""


@dataclass(frozen=True)
class Query:
    """A query.

    Args:
        wanted: values to match, by tag as in the DICOM JSON model.
        limit: at most so many results.
        offset: after leaving out so many.
        fuzzy: words of names match from their beginning, in any order.
    """

    wanted: Mapping[str, str]
    limit: int = _MOST_RESULTS
    offset: int = 0
    fuzzy: bool = False

    @staticmethod
    def of(parameters: Iterable[tuple[str, str]]) -> "Query":
        """Read a request's parameters; all attributes are always told, so `includefield` changes nothing.

        Raises QueryError: a parameter that does not exist, a number that is none, or too much of it.
        """
        wanted, ours = {}, {}
        parameters = list(parameters)
        if sum(len(name) + len(value) for name, value in parameters) > LONGEST:
            raise QueryError("The query is too long.")
        for name, value in parameters:
            if name in _OURS:
                ours[name] = value
            elif value.strip():
                wanted[_tag(name)] = value.strip()
        return Query(
            wanted,
            min(_whole(ours.get("limit", str(_MOST_RESULTS)), "limit"), _MOST_RESULTS),
            _whole(ours.get("offset", "0"), "offset"),
            ours.get("fuzzymatching", "").lower() == "true",
        )

    def select(self, results: Iterable[Json]) -> list[Json]:
        """Return the results that are meant, in their order."""
        found = [one for one in results if all(self._matches(one, *pair) for pair in self.wanted.items())]
        return found[self.offset : self.offset + self.limit]

    def _matches(self, result: Json, tag: str, wanted: str) -> bool:
        if tag == _MODALITY and _MODALITIES in result:  # OHIF may ask studies for a series' attribute
            tag = _MODALITIES
        element = result.get(tag, {})
        vr = element.get("vr") or dictionary_VR(tag)
        values = [_text(value) for value in element.get("Value", ())] or [""]
        if vr == "PN":
            return any(_name_matches(value, wanted, self.fuzzy) for value in values)
        if vr in _RANGES and "-" in wanted:
            return any(_within(value, wanted) for value in values)
        choices = re.split(r"[,\\]", wanted) if vr in ("UI", "CS") else [wanted]
        return any(_like(value, one.strip()) for value in values for one in choices)


_MODALITY, _MODALITIES = "00080060", "00080061"


def _tag(name: str) -> str:
    tag = int(name, 16) if _TAG.fullmatch(name) else tag_for_keyword(name)
    try:
        if tag is None:
            raise KeyError
        dictionary_VR(tag)
    except KeyError as error:
        raise QueryError(
            "A parameter of the query is no attribute of DICOM's, nor one of QIDO-RS."
        ) from error
    return f"{tag:08X}"


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise QueryError(f"{name} must be a whole number.")
    return int(text)


def _text(value: Any) -> str:
    return str(value.get("Alphabetic", "")) if isinstance(value, Mapping) else str(value)


def _like(value: str, wanted: str) -> bool:
    """Whether a value is one with wildcards, case aside.

    `fnmatch` writes a pattern in which no `*` is tried twice: with `.*` some queries take hours.
    """
    pattern = fnmatch.translate(wanted.replace("[", "[[]"))
    return re.fullmatch(pattern, value, re.IGNORECASE) is not None


def _name_matches(value: str, wanted: str, fuzzy: bool) -> bool:
    if _like(value, wanted):
        return True
    words, asked = (_words(text) for text in (value, wanted.replace("*", " ")))
    return fuzzy and bool(asked) and all(any(word.startswith(one) for word in words) for one in asked)


def _words(name: str) -> Sequence[str]:
    return re.split(r"[\^=\s,]+", name.casefold().strip())


def _within(value: str, wanted: str) -> bool:
    """Whether a date or time lies in a range; one that is unknown lies in none."""
    first, _, last = (part.strip() for part in wanted.partition("-"))
    return bool(value) and (not first or value >= first) and (not last or value[: len(last)] <= last)
