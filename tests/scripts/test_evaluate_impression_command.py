import json

import pytest
from typer.testing import CliRunner

from apps.segpet.options import BUNDLED_IMPRESSION
from lib.report.backends import BackendError
from lib.report.cases import read_cases
from lib.report.language import ReportError
from lib.report.synthetic_pairs import pairs
from lib.report.text_pairs import Pair, write_pairs
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


class Writer:
    """Writes "Seen in ...", raises what is asked of a call, and counts its calls."""

    def __init__(self, monkeypatch, failures=()):
        self.calls, self._failures = 0, dict(failures)
        monkeypatch.setattr("lib.report.backends.open_backend", lambda *_: self)

    def generate(self, findings, language):
        self.calls += 1
        if error := self._failures.get(self.calls):
            raise error
        yield f"Seen\ufffd in {findings}"


def reports(folder, number=6):
    path = folder / "pairs.jsonl"
    write_pairs(path, [Pair(f"P{n}/1", "en", f"liver {n}.", "Seen in liver.") for n in range(number)])
    return path, "--impression", "writer", "-o", folder / "out"


def test_impressions_that_fail_are_named_and_the_same_command_writes_them_alone(tmp_path, monkeypatch):
    command = reports(tmp_path)
    Writer(monkeypatch, {2: ReportError("Too long."), 4: BackendError("Busy.", 503)})
    result = run(*command)
    assert result.exit_code == 1
    assert "2 of 6 impressions could not be written (summary.json says which): Too long." in result.stderr
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["left_out"] == [
        {"id": "P1/1", "reason": "Too long."}, {"id": "P3/1", "reason": "Busy."},
    ]  # fmt: skip
    assert summary["corpus"]["all"]["cases"] == 4
    assert "left out: 2" in (tmp_path / "out/report.html").read_text()
    again = Writer(monkeypatch)
    assert run(*command).exit_code == 0 and again.calls == 2
    cases = read_cases(tmp_path / "out/cases.jsonl")
    assert [(case.id, case.hypothesis) for case in cases] == [
        (f"P{n}/1", f"Seen in liver {n}.") for n in range(6)
    ]
    assert json.loads((tmp_path / "out/summary.json").read_text())["left_out"] == []


def test_what_was_written_before_a_stop_is_kept_but_not_for_another_model_or_other_pairs(
    tmp_path, monkeypatch
):
    command = reports(tmp_path)
    Writer(monkeypatch, {3: KeyboardInterrupt()})
    assert run(*command).exit_code != 0
    with (tmp_path / "out/cases.jsonl").open("a") as file:
        file.write('{"id": "P2/1", "lang')
    write_pairs(tmp_path / "pairs.jsonl", [Pair("P0/1", "en", "liver 0.", "Seen in liver."),
        Pair("P1/1", "en", "spleen.", "Seen in spleen.")])  # fmt: skip
    changed = Writer(monkeypatch)
    assert run(*command).exit_code == 0 and changed.calls == 1
    other = Writer(monkeypatch)
    assert run(*command, "--impression-model", "other").exit_code == 0 and other.calls == 2


def test_a_model_that_fails_again_and_again_is_left_alone(tmp_path, monkeypatch):
    writer = Writer(monkeypatch, {n: BackendError("Down.", 503) for n in range(2, 99)})
    result = run(*reports(tmp_path, 9), "--json")
    assert result.exit_code == 1 and writer.calls == 4
    assert len(json.loads(result.stdout)["left_out"]) == 8


def test_a_model_for_bertscore_that_is_none_is_told_before_anything_is_written(tmp_path, monkeypatch):
    writer = Writer(monkeypatch)
    result = run(*reports(tmp_path), "--bertscore-model", tmp_path / "none")
    assert (result.exit_code, writer.calls) == (2, 0)


def test_pairs_are_not_overwritten_by_what_is_written_of_them(tmp_path, monkeypatch):
    Writer(monkeypatch)
    pairs, *options = reports(tmp_path)
    (tmp_path / "out").mkdir()
    pairs = pairs.rename(tmp_path / "out/cases.jsonl")
    before = pairs.read_bytes()
    assert run(pairs, *options).exit_code == 2 and pairs.read_bytes() == before


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
