"""How alike two texts are in their words: BLEU-4 and ROUGE-L, English and Chinese."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer
from sacrebleu.metrics import BLEU

from lib.report.language import Language

ORDERS = 4
#: Chinese characters one by one, as sacrebleu has them; Latin words and numbers ("SUVmax", "12.3") whole.
_TOKEN = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ffff]|\d+(?:\.\d+)?|[^\W\d_\u3400-\u9fff]+"
)


@dataclass(frozen=True)
class NGrams:
    """What BLEU counts in one text; sums over texts give the corpus's.

    Args:
        matched: n-grams of orders 1 to 4 that the reference has too, clipped.
        total: all of them.
        length: tokens of the hypothesis.
        reference_length: tokens of the reference.
    """

    matched: tuple[int, ...]
    total: tuple[int, ...]
    length: int
    reference_length: int

    def as_row(self) -> list[int]:
        """Return the ten counts in one row, so that rows can be added."""
        return [*self.matched, *self.total, self.length, self.reference_length]


def count_ngrams(hypothesis: str, reference: str, language: Language) -> NGrams:
    """Count what BLEU-4 is made of (Papineni 2002), with sacrebleu's tokeniser `zh` or `13a`."""
    score = _bleu(language).sentence_score(hypothesis, [reference])
    return NGrams(tuple(score.counts), tuple(score.totals), score.sys_len, score.ref_len)


def sentence_bleu(hypothesis: str, reference: str, language: Language) -> float:
    """Return one text's BLEU-4, 0 to 1, as sacrebleu's `sentence_score` (exp smoothing, effective order)."""
    return float(_bleu(language).sentence_score(hypothesis, [reference]).score) / 100


def corpus_bleu(rows: NDArray[np.int64]) -> float:
    """Return BLEU-4 of a corpus, 0 to 1, as sacrebleu's `corpus_score`.

    Args:
        rows: (texts, 10), each `NGrams.as_row`.
    """
    sums = rows.sum(axis=0).tolist()
    score = BLEU.compute_bleu(
        sums[:ORDERS], sums[ORDERS : 2 * ORDERS], sums[-2], sums[-1], smooth_method="exp"
    )
    return float(score.score) / 100


def rouge_l(hypothesis: str, reference: str, language: Language) -> float:
    """Return the F-measure of the longest common subsequence, 0 to 1 (Lin 2004), of rouge-score.

    English is tokenised by rouge-score, without stemming; of Chinese that tokeniser would drop every
    character, so ours takes each as a token.
    """
    return float(_rouge(language).score(reference, hypothesis)["rougeL"].fmeasure)


def chinese_tokens(text: str) -> list[str]:
    """Return each Chinese character, and each Latin word and number, in lower case."""
    return _TOKEN.findall(text.lower())


class _ChineseTokenizer(Tokenizer):
    def tokenize(self, text: str) -> Sequence[str]:
        """Return the tokens."""
        return chinese_tokens(text)


@cache
def _bleu(language: Language) -> BLEU:
    return BLEU(tokenize="zh" if language == "zh" else "13a", effective_order=True)


@cache
def _rouge(language: Language) -> RougeScorer:
    return RougeScorer(["rougeL"], tokenizer=_ChineseTokenizer() if language == "zh" else None)
