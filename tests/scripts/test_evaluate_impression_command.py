import json

import pytest
from typer.testing import CliRunner

from apps.segpet.options import BUNDLED_IMPRESSION
from lib.report.cases import read_cases
from lib.report.synthetic_pairs import pairs
from lib.report.text_pairs import write_pairs
from scripts.__main__ import app

CASE = {
    "id": "a",
    "language": "en",
    "findings": "Nodule in the right upper lobe.",
    "reference": "Nodule in the right upper lobe.",
    "hypothesis": "Nodule in the left upper lobe. <script>",
}


@pytest.fixture
def cases(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(CASE) + "\n", encoding="utf-8")
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", "impression", *map(str, arguments)])


def test_the_summary_is_printed_as_json_and_written_with_a_page(cases, tmp_path):
    result = run(cases, "--json", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["corpus"]["all"]["cases"] == 1
    assert summary["reports"][0]["id"] == "a"
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    assert "<script>" not in (tmp_path / "out" / "report.html").read_text()


def test_the_table_names_the_scores(cases):
    printed = run(cases).output
    assert all(name in printed for name in ("BLEU-4", "ROUGE-L", "ECR", "UER", "FCR"))


def test_bad_input_ends_with_a_sentence_and_status_2(cases, tmp_path):
    cases.write_text("no json\n")
    for arguments in ([cases], [tmp_path / "none.jsonl"], [tmp_path]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.strip().endswith(".") and "Traceback" not in result.output


def test_a_model_that_is_not_there_is_refused(cases, tmp_path):
    result = run(cases, "--bertscore-model", tmp_path / "none")
    assert (result.exit_code, "config.json" in result.stderr) == (2, True)
    assert run(cases, "--bertscore-layer", 3).exit_code == 2


def test_a_model_s_impressions_of_pairs_are_written_and_scored(tmp_path):
    write_pairs(
        tmp_path / "pairs.jsonl", [pair for pair in pairs(8, "A", 31) if len(pair.findings) < 500][:3]
    )
    result = run(
        tmp_path / "pairs.jsonl", "--impression", BUNDLED_IMPRESSION, "--json", "-o", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["settings"]["impression"] == "impression"
    assert summary["corpus"]["all"]["rouge_l"]["mean"]["value"] > 0.9
    assert all("max" in case.hypothesis for case in read_cases(tmp_path / "out" / "cases.jsonl"))
    again = run(tmp_path / "out" / "cases.jsonl", "--json")
    assert json.loads(again.stdout)["corpus"] == summary["corpus"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--impression", "none"], "read from none"),
        (["--impression", "http://127.0.0.1:1/v1"], "cannot be reached"),
        (["--impression-adapter", "none"], "adapter_model.safetensors"),
    ],
)
def test_a_model_that_does_not_write_ends_with_a_sentence(tmp_path, options, why):
    write_pairs(tmp_path / "pairs.jsonl", pairs(1, "A", 31))
    result = run(tmp_path / "pairs.jsonl", *options)
    assert result.exit_code == 2 and why in result.stderr and "Traceback" not in result.output
