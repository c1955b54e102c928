"""The lexicon: concepts of PET/CT reports, what they are called, and which is part of which."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

from lib.report.language import Language, ReportError
from lib.report.text import words_of

Kind = Literal["anatomy", "disease", "uptake", "response", "stage"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Side = Literal["left", "right"]

COLUMNS = ("id", "kind", "en", "zh", "snomed", "broader", "side", "organs")
_DATA = Path(__file__).parent / "data"
_ID = re.compile(r"[a-z0-9_]+")
_SEVERAL = "|"


@dataclass(frozen=True)
class Concept:
    """Something that reports speak of.

    Args:
        id: such as "lung_upper_lobe_right".
        kind: anatomy, disease, uptake, response or stage.
        en: its names in English, the preferred one first.
        zh: in Chinese.
        snomed: its SNOMED CT code; None where none is known for sure.
        broader: ids of the concepts that it is a part or a kind of.
        side: of the body, if the concept implies one.
        organs: TotalSegmentator's names of it, as far as it has them.
        paired: whether there is one on either side.
    """

    id: str
    kind: Kind
    en: tuple[str, ...]
    zh: tuple[str, ...]
    snomed: str | None = None
    broader: tuple[str, ...] = ()
    side: Side | None = None
    organs: tuple[str, ...] = ()
    paired: bool = False

    def name(self, language: Language) -> str:
        """Return the preferred name, in the other language if there is none in this one."""
        return (self.zh or self.en if language == "zh" else self.en or self.zh)[0]


class LexiconError(ReportError):
    """A lexicon's file that cannot be used; the message names file and line."""


T = TypeVar("T")


class Phrases(Generic[T]):
    """Phrases and what they mean, found by their words, the longest first.

    A phrase in capitals of at most four letters ("CR", "LN") is found as written only.
    """

    def __init__(self) -> None:
        self._tree: dict[str, dict] = {}

    def add(self, phrase: str, meaning: T) -> T | None:
        """Add a phrase; return what it means already, which then stays."""
        words = words_of(phrase).words
        if not words:
            return None
        node = self._tree
        for word in words:
            node = node.setdefault(word, {})
        meanings: dict[str, T] = node.setdefault("", {})
        return meanings.setdefault(phrase if _as_written(phrase) else "", meaning)

    def longest(
        self, words: list[str], first: int, text: str, starts: list[int], ends: list[int]
    ) -> tuple[T, int] | None:
        """Return the meaning of the longest phrase that begins at a word, and the index after it."""
        node = self._tree.get(words[first])
        best: tuple[T, int] | None = None
        at = first
        while node is not None:
            at += 1
            meanings = node.get("")
            if meanings:
                meaning = meanings.get("")
                if len(meanings) > (meaning is not None):
                    meaning = meanings.get(text[starts[first] : ends[at - 1]], meaning)
                if meaning is not None:
                    best = meaning, at
            node = node.get(words[at]) if at < len(words) else None
        return best

    def get(self, phrase_words: Iterable[str]) -> T | None:
        """Return what a phrase, given as its words, means."""
        node: dict | None = self._tree
        for word in phrase_words:
            node = node.get(word) if node is not None else None
        return (node or {}).get("", {}).get("")


def _as_written(phrase: str) -> bool:
    return len(phrase) <= 4 and phrase.isascii() and phrase.isalpha() and phrase.isupper()


@dataclass(frozen=True)
class Lexicon:
    """Concepts by their ids; `load_lexicon` reads one."""

    concepts: Mapping[str, Concept]
    phrases: Phrases[Concept] = field(repr=False)

    def wider(self, id: str) -> frozenset[str]:
        """Return the ids of all that a concept is a part or a kind of, itself included."""
        return self._wider.get(id, frozenset([id]))

    @cached_property
    def _wider(self) -> dict[str, frozenset[str]]:
        known: dict[str, frozenset[str]] = {}

        def of(id: str) -> frozenset[str]:
            if id not in known:
                known[id] = frozenset([id])  # a circle ends here
                known[id] = known[id].union(*(of(one) for one in self.concepts[id].broader))
            return known[id]

        for id in self.concepts:
            of(id)
        return known

    @cached_property
    def paired_begins(self) -> frozenset[str]:
        """The characters that Chinese names of sites on either side begin with, which may follow 双."""
        return frozenset(name[0] for one in self.concepts.values() if one.paired for name in one.zh)

    @cached_property
    def of_organ(self) -> dict[str, Concept]:
        """TotalSegmentator's names -> the concept."""
        return {organ: concept for concept in self.concepts.values() for organ in concept.organs}


@cache
def default_lexicon() -> Lexicon:
    """Return the lexicon that comes with SegPET."""
    return load_lexicon()


def load_lexicon(*extra_paths: str | Path) -> Lexicon:
    """Read the lexicon, and a team's additions.

    Args:
        extra_paths: CSV files with a first line that names the columns id, kind, en, zh, snomed, broader,
            side, organs (of a known concept only id is needed); several names in a field are parted by "|".
            A row with a known id adds names to that concept, and replaces what else it gives; another is a
            new concept.

    Raises:
        LexiconError: a file is missing or no such table, a name means two things, a broader concept is
            unknown.
    """
    rows: dict[str, dict[str, str]] = {}
    came_from: dict[str, str] = {}
    for path in [*sorted(_DATA.glob("*.csv")), *map(Path, extra_paths)]:
        for line, row in _rows(path):
            came_from[row["id"]] = f"{path.name}, line {line}"
            rows[row["id"]] = _merged(rows[row["id"]], row) if row["id"] in rows else row
    concepts = {id: _concept(row, came_from[id]) for id, row in rows.items()}
    phrases: Phrases[Concept] = Phrases()
    for concept in concepts.values():
        if unknown := set(concept.broader) - concepts.keys():
            raise LexiconError(f"{came_from[concept.id]}: there is no concept {min(unknown)}.")
        for name in concept.en + concept.zh:
            other = phrases.add(name, concept)
            if other is not None and other is not concept:
                raise LexiconError(f'{came_from[concept.id]}: "{name}" is a name of {other.id} already.')
    return Lexicon(concepts, phrases)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if wrong := set(reader.fieldnames or []) - set(COLUMNS):
                raise LexiconError(
                    f"{path.name}: a lexicon has the columns {', '.join(COLUMNS)}, not {min(wrong)}."
                )
            if "id" not in (reader.fieldnames or []):
                raise LexiconError(f"{path.name}: the first line must name the columns, id among them.")
            rows = []
            for row in reader:
                if None in row:
                    raise LexiconError(
                        f"{path.name}, line {reader.line_num}: there are more fields than columns."
                    )
                fields = {name: (row.get(name) or "").strip() for name in COLUMNS}
                if any(fields.values()):
                    rows.append((reader.line_num, fields))
            return rows
    except FileNotFoundError:
        raise LexiconError(f"There is no lexicon {path.name}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LexiconError(f"{path.name} is no table in UTF-8 with commas.") from error


def _merged(known: dict[str, str], row: dict[str, str]) -> dict[str, str]:
    names = {
        column: _SEVERAL.join(text for text in (known[column], row[column]) if text)
        for column in ("en", "zh")
    }
    return {**known, **{column: text for column, text in row.items() if text}, **names}


def _concept(row: dict[str, str], where: str) -> Concept:
    if not _ID.fullmatch(row["id"]):
        raise LexiconError(f'{where}: an id is made of small letters, digits and "_", unlike "{row["id"]}".')
    if row["kind"] not in KINDS:
        raise LexiconError(f"{where}: the kind is one of {', '.join(KINDS)}.")
    if row["side"] not in ("", "left", "right", "paired"):
        raise LexiconError(f"{where}: the side is left, right, paired or empty.")
    if row["snomed"] and not row["snomed"].isdecimal():
        raise LexiconError(f"{where}: a SNOMED CT code is a number.")
    if not row["en"] and not row["zh"]:
        raise LexiconError(f"{where}: the concept has no name.")
    several = {
        column: tuple(dict.fromkeys(one.strip() for one in row[column].split(_SEVERAL) if one.strip()))
        for column in ("en", "zh", "broader", "organs")
    }
    kind = next(kind for kind in KINDS if kind == row["kind"])
    side: Side | None = "left" if row["side"] == "left" else "right" if row["side"] == "right" else None
    return Concept(
        row["id"],
        kind,
        several["en"],
        several["zh"],
        row["snomed"] or None,
        several["broader"],
        side,
        several["organs"],
        row["side"] == "paired",
    )
