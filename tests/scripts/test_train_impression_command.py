"""`segpet train impression` as a person types it."""

import json

import pytest
from typer.testing import CliRunner

from lib.report.adapter_job import ADAPTERS
from lib.store import Audit, Models
from lib.store.reports import AcceptedImpressions
from scripts.__main__ import app

QUICK = ["--epochs", 1, "--rank", 2, "--longest", 512, "--json"]


@pytest.fixture
def studies(tmp_path):
    """A studies folder of which two dozen impressions were accepted."""
    (tmp_path / "studies").mkdir()
    accepted = AcceptedImpressions(tmp_path / "state/impressions")
    for n in range(24):
        accepted.accept(f"P{n}", 1, "en", f"Lesion {n} in the liver.", "Liver lesion.", "reader")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["train", "impression", *map(str, arguments)])


def test_what_readers_accepted_becomes_an_adapter_of_the_state_folder(studies):
    result = run(studies / "studies", "--state", studies / "state", *QUICK)
    assert result.exit_code == 0, result.output
    (version,) = Models(studies / "state" / ADAPTERS).versions()
    assert version.card["data"]["training"] + version.card["data"]["held_out"] == 24
    assert json.loads(result.stdout) == version.card

    for command in (["promote", studies / "studies", 1], ["rollback", studies / "studies"]):
        options = [*command, "--trainer", "impression", "--state", studies / "state"]
        result = CliRunner().invoke(app, ["weights", *map(str, options)])
        assert result.exit_code == 0, result.output
    audit = list(Audit(studies / "state/audit").read())
    assert [(line["event"], line["trainer"], line.get("version")) for line in audit] == [
        ("training started", "impression", None),
        ("training ended", "impression", 1),
        ("promotion", "impression", 1),
        ("rollback", "impression", None),
    ]


def test_with_a_folder_it_becomes_the_folder_s_and_what_the_base_loses_is_said(studies):
    synthetic = ["train", "demo-pairs", "--style", "A", "--number", "2", "-o", str(studies / "a.jsonl")]
    assert CliRunner().invoke(app, synthetic).exit_code == 0
    folders = ["-o", studies / "adapter", "--state", studies / "state", "--retained", studies / "a.jsonl"]
    result = run(studies / "studies", *folders, *QUICK)
    assert result.exit_code == 0, result.output
    card = json.loads((studies / "adapter/card.json").read_text())
    assert card["data"]["training"] + card["data"]["held_out"] == 24
    assert card["retained"]["pairs"] == 2 and card["retained"]["before"]["rouge_l"] > 0.5
    assert not (studies / "state" / ADAPTERS).exists()


@pytest.mark.parametrize(("name", "why"), [("absent", "no file or folder"), ("studies", "accepted yet")])
def test_nothing_to_learn_from_is_said(tmp_path, name, why):
    (tmp_path / "studies").mkdir()
    result = run(tmp_path / name, "-o", tmp_path / "adapter", "--state", tmp_path / "state")
    assert result.exit_code == 2 and why in result.stderr and "Traceback" not in result.output


def test_pairs_of_a_file_need_a_folder_for_their_adapter(tmp_path):
    (tmp_path / "pairs.jsonl").touch()
    result = run(tmp_path / "pairs.jsonl")
    assert result.exit_code == 2 and "-o" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--adapter", "absent"], "There is no folder absent"),
        (["--adapter", ".", "-o", "made"], "leave out --adapter"),
        (["--retained", __file__], "leave out --retained"),
    ],
)
def test_options_that_would_count_for_nothing_are_refused(tmp_path, arguments, why):
    result = run(tmp_path, *arguments)
    assert result.exit_code == 2 and why in " ".join(result.stderr.split())
