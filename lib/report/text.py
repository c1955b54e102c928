"""Words and sentences of a report in English and Chinese, with where they stand."""

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

#: A Chinese character is a word, as is a run of letters or of digits; an "'s", and what joins words, is none.
_WORD = re.compile(r"['’`]s\b|[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+|\d+(?:\.\d+)?|[^\w\s]")
_JOINS = frozenset("-‐‑‒–—_'’`\"“”*")
_PLURALS = {
    "foci": "focus", "testes": "testis", "hila": "hilum", "crura": "crus", "femora": "femur",
    "bronchi": "bronchus", "thrombi": "thrombus", "ganglia": "ganglion", "diverticula": "diverticulum",
    "emboli": "embolus", "apices": "apex", "nuclei": "nucleus", "humeri": "humerus",
    "calcanei": "calcaneus", "sulci": "sulcus", "gyri": "gyrus", "recti": "rectus", "fistulae": "fistula",
    "women": "woman", "men": "man", "thalami": "thalamus", "hippocampi": "hippocampus", "ilia": "ilium",
    "vertebrae": "vertebra", "uteri": "uterus", "pelves": "pelvis", "infiltrates": "infiltrate",
}  # fmt: skip
_SINGULAR_AS = frozenset(["pancreas", "psoas", "atlas", "whereas", "was", "has", "gas", "bias"])
#: Characters; a longer sentence is cut: it is none, and work grows with its square.
_LONGEST = 1500
_SENTENCE_END = re.compile(r"[。！？!?\n\r]+|\.(?=\s|$)")
_NO_SENTENCE_END = re.compile(
    r"(?:^|[\s(（])(?:approx|ca|cf|vs|dr|mr|mrs|ms|fig|no|e\.g|i\.e|incl|max|min|resp|st|[lr]t|[a-z]|\d{1,2})\.$",
    re.I,
)


@dataclass(frozen=True)
class Words:
    """The words of a text: `words[i]`, normalised, stands at text[starts[i]:ends[i]]."""

    words: list[str]
    starts: list[int]
    ends: list[int]


def words_of(text: str) -> Words:
    """Return the words of a text: lower case, singular, American; punctuation is a word."""
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _WORD.finditer(text):
        word = normalised(match.group())
        if word:
            words.append(word)
            starts.append(match.start())
            ends.append(match.end())
    return Words(words, starts, ends)


@lru_cache(maxsize=20_000)
def normalised(word: str) -> str:
    """Return a word as it is compared: "Metastases" is "metastasis", "Ⅱ" is "ii", "，" is ","."""
    if not word.isascii():
        word = unicodedata.normalize("NFKC", word)
    word = word.lower()
    if word in _JOINS or word in ("'s", "’s", "`s"):
        return ""
    if len(word) < 4 or not word.isalpha() or not word.isascii():
        return word
    return _american(_singular(word))


def _singular(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    if word.endswith("ae"):
        return word[:-1]
    if not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _SINGULAR_AS:
        return word
    if word.endswith(("tases", "oses", "yses", "eses", "oases")) and word not in ("roses", "doses", "noses"):
        return word[:-2] + "is"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes", "uses")):
        return word[:-2]
    return word[:-1]


def _american(word: str) -> str:
    word = word.replace("ae", "e").replace("oe", "e")
    return (
        word.replace("our", "or")
        if word.endswith(("our", "ouring", "oured"))
        else word.replace("entre", "enter")
    )


def sentences(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence, in order; blank ones are left out.

    A full stop ends one only before a blank, and not after an abbreviation, an initial or a list's number;
    so does a line's end, and the Chinese signs. A semicolon parts clauses.
    """
    found = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if match.group() == "." and _NO_SENTENCE_END.search(text[max(start, match.end() - 12) : match.end()]):
            continue
        found.append((start, match.end()))
        start = match.end()
    found.append((start, len(text)))
    pieces = [(at, min(at + _LONGEST, last)) for first, last in found for at in range(first, last, _LONGEST)]
    return [span for span in (_stripped(text, *span) for span in pieces) if span[0] < span[1]]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def index_of(starts: list[int], position: int) -> int:
    """Return the index of the last start at or before a position; -1 if there is none."""
    return bisect_right(starts, position) - 1
