"""Entities of a report: concepts with side, polarity and numbers, each with where it stands."""

from dataclasses import dataclass
from typing import Literal

from lib.report.language import Language
from lib.report.lexicon import Concept, Kind, Lexicon, default_lexicon, load_lexicon
from lib.report.quantities import Quantity, find_quantities
from lib.report.text import sentences, words_of

__all__ = [
    "Concept",
    "Entity",
    "Kind",
    "Language",
    "Laterality",
    "Lexicon",
    "Polarity",
    "Quantity",
    "default_lexicon",
    "find_entities",
    "find_quantities",
    "load_lexicon",
    "sentences",
]

Polarity = Literal["affirmed", "negated", "uncertain"]
Laterality = Literal["left", "right", "bilateral"]


@dataclass(frozen=True)
class Entity:
    """A concept in a text.

    Args:
        concept: what is spoken of.
        start: its first character.
        end: the character after its last.
        laterality: the side that the text or the concept itself gives it.
        polarity: affirmed, negated ("no uptake"), or uncertain ("suspicious for").
        quantities: the numbers that belong to it.
    """

    concept: Concept
    start: int
    end: int
    laterality: Laterality | None = None
    polarity: Polarity = "affirmed"
    quantities: tuple[Quantity, ...] = ()


def find_entities(
    text: str, language: Language | None = None, lexicon: Lexicon | None = None
) -> list[Entity]:
    """Return the entities of a text in their order.

    Args:
        text: in English, Chinese or both.
        language: what it is in; both are read in any case.
        lexicon: another one than SegPET's own.
    """
    phrases = (lexicon or default_lexicon()).phrases
    words = words_of(text)
    entities, at = [], 0
    while at < len(words.words):
        if found := phrases.longest(words.words, at, text, words.starts, words.ends):
            concept, after = found
            entities.append(Entity(concept, words.starts[at], words.ends[after - 1], concept.side))
            at = after
        else:
            at += 1
    return entities
