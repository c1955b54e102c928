"""Entities on 120 sentences that were written and annotated by someone who had not seen lexicon and rules."""

import json
from collections import Counter
from pathlib import Path

import pytest

from lib.report.entities import Entity, Quantity, find_entities

GOLD = Path(__file__).parent / "gold" / "sentences.jsonl"
AT_LEAST = {"concepts": 0.9, "polarity": 0.9, "laterality": 0.95, "quantities": 0.95}


def sentences(language: str) -> list[dict]:
    lines = GOLD.read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["language"] == language]


def pairs(gold: list[dict], found: list[Entity]) -> list[tuple[dict, Entity]]:
    """Pair entities of the same kind whose spans overlap, one to one, the longest overlap first."""
    overlaps = []
    for i, one in enumerate(gold):
        for j, other in enumerate(found):
            shared = min(one["end"], other.end) - max(one["start"], other.start)
            if shared > 0 and one["kind"] == other.concept.kind:
                overlaps.append((-shared, i, j))
    paired, left, right = [], set(), set()
    for _, i, j in sorted(overlaps):
        if i not in left and j not in right:
            paired.append((gold[i], found[j]))
            left.add(i)
            right.add(j)
    return paired


def numbers(quantities: list[dict] | tuple[Quantity, ...]) -> Counter:
    rows = [one if isinstance(one, dict) else vars(one) for one in quantities]
    return Counter((row["kind"], round(row["low"], 2), round(row["high"], 2), row["unit"]) for row in rows)


def f1(right: float, found: float, wanted: float) -> float:
    return 2 * right / (found + wanted)


def scores(language: str) -> tuple[dict[str, float], list[str]]:
    """Return micro-averaged F1s (attributes count where the concept was found) and what was wrong."""
    right, found, wanted = Counter(), Counter(), Counter()
    wrong = []
    for line in sentences(language):
        entities = find_entities(line["text"])
        paired = pairs(line["entities"], entities)
        for one in line["entities"]:
            wanted["laterality"] += one["laterality"] is not None
            wanted["quantities"] += sum(numbers(one["quantities"]).values())
        for other in entities:
            found["laterality"] += other.laterality is not None
            found["quantities"] += sum(numbers(other.quantities).values())
        for name in ("concepts", "polarity"):
            wanted[name] += len(line["entities"])
            found[name] += len(entities)
        right["concepts"] += len(paired)
        seen = {id(one) for one, _ in paired}, {id(other) for _, other in paired}
        wrong += [
            f"{line['id']} missed {one['span']} {one['kind']}"
            for one in line["entities"]
            if id(one) not in seen[0]
        ]
        wrong += [
            f"{line['id']} too much {line['text'][other.start : other.end]} {other.concept.id}"
            for other in entities
            if id(other) not in seen[1]
        ]
        for one, other in paired:
            right["polarity"] += one["polarity"] == other.polarity
            right["laterality"] += one["laterality"] is not None and one["laterality"] == other.laterality
            mine, theirs = numbers(other.quantities), numbers(one["quantities"])
            right["quantities"] += sum((mine & theirs).values())
            for name, a, b in (
                ("polarity", other.polarity, one["polarity"]),
                ("laterality", other.laterality, one["laterality"]),
                ("quantities", dict(mine), dict(theirs)),
            ):
                if a != b:
                    wrong.append(f"{line['id']} {one['span']} ({one['kind']}) {name}: {a} for {b}")
    return {name: f1(right[name], found[name], wanted[name]) for name in AT_LEAST}, wrong


@pytest.mark.parametrize("language", ["en", "zh"])
def test_entities_are_found_as_a_reader_marked_them(language):
    assert len(sentences(language)) == 60
    reached, wrong = scores(language)
    print(language, {name: round(score, 3) for name, score in reached.items()}, *wrong, sep="\n")
    assert {name: score for name, score in reached.items() if score < AT_LEAST[name]} == {}
