"""The check on impressions with planted errors, written by people who had not seen its rules.

`python -P tests/report/test_gold_impressions.py` prints each error that was not found, and each false mark.
"""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lib.report.check import check

GOLD = Path(__file__).parent / "gold"


@dataclass
class Figures:
    """What was found of planted errors, and what was marked without one."""

    planted: Counter = field(default_factory=Counter)
    found: Counter = field(default_factory=Counter)
    impressions: int = 0
    with_false: int = 0
    checked: int = 0
    false: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def share_found(self) -> float:
        return self.found.total() / self.planted.total()

    @property
    def share_with_false(self) -> float:
        """Share of all impressions that have a mark, or a missing lesion, which is no planted error."""
        return self.with_false / self.impressions

    @property
    def share_of_checked(self) -> float:
        """False marks and false missing lesions, a looked up site, number, count, denial or lesion."""
        return self.false / self.checked

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {self.found[kind]}/{n}" for kind, n in sorted(self.planted.items()))
        return (
            f"found {self.found.total()}/{self.planted.total()} ({self.share_found:.1%}: {kinds}); "
            "false marks: "
            f"{self.with_false}/{self.impressions} impressions ({self.share_with_false:.1%}), "
            f"{self.false}/{self.checked} checked statements ({self.share_of_checked:.1%})"
        )


def figures(language: str) -> Figures:
    """Check all impressions of a language.

    A planted error is found when a mark of any kind overlaps it; an omission when the lesion is listed. The
    lesion of a planted error may be listed as missing: after a wrong site or side it is.
    """
    measured = Figures()
    for line in (GOLD / f"impressions-{language}.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        text, errors = entry["impression"], entry["errors"]
        result = check(text, {"lesions": entry["lesions"], "patient": entry["patient"]}, entry["findings"])
        spans = []
        for error in errors:
            measured.planted[error["kind"]] += 1
            start = text.find(error["span"]) if error.get("span") else -1
            end = start + len(error["span"] or "")
            is_marked = start >= 0 and any(one.start < end and one.end > start for one in result.marks)
            is_missed = any(one.lesion == error.get("lesion") for one in result.missing)
            spans += [(start, end)] if start >= 0 else []
            if is_missed if error["kind"] == "omission" else is_marked:
                measured.found[error["kind"]] += 1
            else:
                measured.said.append(
                    f"{entry['id']} NOT FOUND {error}\n   {text!r}\n   {entry['findings']!r}"
                )
        false = [
            mark
            for mark in result.marks
            if not any(mark.start < end and mark.end > start for start, end in spans)
        ]
        excused = {error.get("lesion") for error in errors}
        wrongly_missing = [one for one in result.missing if one.lesion not in excused]
        measured.said += [
            f"{entry['id']} FALSE {mark.kind} {text[mark.start : mark.end]!r}: {mark.reason}\n   "
            f"{text!r}\n   "
            f"{entry['findings']!r}"
            for mark in false
        ]
        measured.said += [
            f"{entry['id']} FALSE {one}\n   {text!r}\n   {entry['findings']!r}" for one in wrongly_missing
        ]
        measured.impressions += 1
        measured.checked += result.checked + len(entry["lesions"])
        measured.false += len(false) + len(wrongly_missing)
        measured.with_false += bool(false or wrongly_missing)
    return measured


@pytest.mark.parametrize("language", ["en", "zh"])
def test_planted_errors_are_found_and_little_else_is_marked(language):
    measured = figures(language)
    print(f"\n{language}: {measured}")
    assert measured.share_found >= 0.95
    assert measured.share_with_false <= 0.05


if __name__ == "__main__":
    for name in sys.argv[1:] or ("en", "zh"):
        measured = figures(name)
        print(*measured.said, sep="\n")
        print(f"{name}: {measured}")
