import json

import pytest
from typer.testing import CliRunner

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
