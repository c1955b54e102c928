import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from lib.report.wording import chinese_tokens, corpus_bleu, count_ngrams, rouge_l, sentence_bleu

SAID = ["No evidence of metastasis.", "Nodule in the right upper lobe with SUVmax 8.5, likely malignant."]
WANTED = ["No evidence of distant metastasis.", "FDG-avid nodule in the right upper lobe (SUVmax 8.5)."]
SAID_ZH = ["右肺上叶结节，SUVmax 8.5，考虑肺癌。", "未见远处转移。"]
WANTED_ZH = ["右肺上叶高代谢结节（SUVmax 8.5），肺癌可能。", "全身未见转移征象。"]


@pytest.mark.parametrize(
    ("said", "wanted", "language", "tokenizer"),
    [(SAID, WANTED, "en", "13a"), (SAID_ZH, WANTED_ZH, "zh", "zh")],
)
def test_bleu_is_that_of_sacrebleu(said, wanted, language, tokenizer):
    rows = np.array([count_ngrams(*pair, language).as_row() for pair in zip(said, wanted, strict=True)])
    corpus = BLEU(tokenize=tokenizer).corpus_score(said, [wanted]).score / 100
    assert 0 < corpus < 1
    assert corpus_bleu(rows) == pytest.approx(corpus)
    for one, other in zip(said, wanted, strict=True):
        alone = BLEU(tokenize=tokenizer, effective_order=True).sentence_score(one, [other]).score / 100
        assert sentence_bleu(one, other, language) == pytest.approx(alone)


def test_bleu_of_a_small_case_equals_the_hand_computed_value():
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples, no brevity penalty.
    said, wanted = "the liver is normal in size", "the liver is normal of size"
    assert sentence_bleu(said, wanted, "en") == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_rouge_l_in_english_is_that_of_rouge_score():
    for one, other in zip(SAID, WANTED, strict=True):
        expected = RougeScorer(["rougeL"]).score(other, one)["rougeL"].fmeasure
        assert 0 < expected < 1
        assert rouge_l(one, other, "en") == expected


def test_rouge_l_in_chinese_counts_characters_and_whole_numbers():
    assert chinese_tokens("右肺SUVmax 8.5。") == ["右", "肺", "suvmax", "8.5"]
    # All 6 tokens are among the 7: precision 1, recall 6/7.
    assert rouge_l("右肺结节转移", "右肺高结节转移", "zh") == pytest.approx(2 * 6 / (6 + 7))
    assert rouge_l("肝", "肺", "zh") == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_empty_text_scores_nothing_and_the_same_text_all(language):
    assert sentence_bleu("", WANTED[0], language) == rouge_l("", WANTED[0], language) == 0
    assert sentence_bleu(WANTED[1], WANTED[1], language) == pytest.approx(1)
    assert rouge_l(WANTED[1], WANTED[1], language) == 1
