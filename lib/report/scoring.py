"""Scores of generated impressions: each report, and the corpus with intervals."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.report.bertscore import BertScore
from lib.report.cases import ReportCase
from lib.report.entities import find_entities
from lib.report.entity_metrics import Comparison, EntityCounts, compare
from lib.report.intervals import Estimate, Rows, bootstrap, ratio
from lib.report.language import LANGUAGES
from lib.report.wording import NGrams, corpus_bleu, count_ngrams, rouge_l, sentence_bleu

#: Scores in the order of tables: key and title.
TITLES = {
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "bertscore": "BERTScore",
    "ecr": "ECR",
    "uer": "UER",
    "fcr": "FCR",
}
#: Of each rate of entities, part and whole among `EntityCounts`.
_RATES = {
    "ecr": ("covered", "reference"),
    "uer": ("unsupported", "hypothesis"),
    "fcr": ("consistent", "shared"),
}


@dataclass(frozen=True)
class ScoredCase:
    """A case with what was measured of it.

    Args:
        case: the texts.
        scores: by the keys of TITLES, 0 to 1; NaN where 0 / 0; no `bertscore` without a model.
        ngrams: what the corpus's BLEU is summed from.
        comparison: its entities.
    """

    case: ReportCase
    scores: dict[str, float]
    ngrams: NGrams
    comparison: Comparison

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; no text of the case but its id."""
        return {
            "id": self.case.id,
            "language": self.case.language,
            **{key: _known(value) for key, value in self.scores.items()},
            "entities": vars(self.comparison.counts),
        }


def score_case(case: ReportCase, model: BertScore | None = None) -> ScoredCase:
    """Score one case."""
    said, wanted, language = case.hypothesis, case.reference, case.language
    comparison = compare(
        *(find_entities(text, language) for text in (said, wanted, case.findings)),
    )
    counts = comparison.counts
    scores = {"bleu_4": sentence_bleu(said, wanted, language), "rouge_l": rouge_l(said, wanted, language)}
    if model:
        scores["bertscore"] = model.f1(said, wanted)
    scores |= {"ecr": counts.ecr, "uer": counts.uer, "fcr": counts.fcr}
    return ScoredCase(case, scores, count_ngrams(said, wanted, language), comparison)


def score(
    cases: Sequence[ReportCase],
    model: BertScore | None = None,
    seed: int = 0,
    done: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], list[ScoredCase]]:
    """Score cases.

    Args:
        cases: what to score.
        model: for BERTScore; without one it is left out.
        seed: of the intervals.
        done: called after each case.

    Returns:
        The summary, and the scored cases. The summary holds `corpus`: for "all" and, where there are several,
        each language, `cases` and each key of TITLES with `mean` over reports, where there is one `corpus`
        (BLEU-4 of all text, micro average of ECR, UER, FCR), each `value` and `ci95`, and `undefined`, the
        reports that were left out as 0 / 0; `reports`, `ScoredCase.as_dict` of each.
    """
    scored = []
    for case in cases:
        scored.append(score_case(case, model))
        done()
    groups = {"all": scored}
    languages = {one.case.language for one in scored}
    if len(languages) > 1:
        groups |= {name: [one for one in scored if one.case.language == name] for name in LANGUAGES}
    summary = {
        "corpus": {name: _summary(group, seed) for name, group in groups.items()},
        "reports": [one.as_dict() for one in scored],
    }
    return summary, scored


def mean_over(values: Sequence[float], seed: int = 0) -> Estimate:
    """Return the mean of a score over the reports that have one, with its interval."""
    known = np.array([value for value in values if not math.isnan(value)])
    return bootstrap(np.column_stack([known, np.ones_like(known)]), ratio, seed)


def _summary(scored: Sequence[ScoredCase], seed: int) -> dict[str, Any]:
    summary: dict[str, Any] = {"cases": len(scored)}
    for key in scored[0].scores if scored else ():
        values = [one.scores[key] for one in scored]
        undefined = sum(map(math.isnan, values))
        summary[key] = {"mean": mean_over(values, seed).as_dict(), "undefined": undefined}
        if key in _RATES:
            rows = np.array(
                list(_parts([one.comparison.counts for one in scored], *_RATES[key])), dtype=float
            )
            summary[key]["corpus"] = bootstrap(rows, ratio, seed).as_dict()
        elif key == "bleu_4":
            rows = np.array([one.ngrams.as_row() for one in scored], dtype=float)
            summary[key]["corpus"] = bootstrap(rows, _bleu_of_each, seed).as_dict()
    return summary


def _parts(counts: Sequence[EntityCounts], part: str, whole: str) -> Iterator[tuple[int, int]]:
    yield from ((getattr(one, part), getattr(one, whole)) for one in counts)


def _bleu_of_each(sums: Rows) -> Rows:
    return np.array([corpus_bleu(row[None].astype(np.int64)) for row in sums])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
