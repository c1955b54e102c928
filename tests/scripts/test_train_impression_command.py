"""`segpet train impression` as a person types it."""

import json

import pytest
from typer.testing import CliRunner

from lib.report.synthetic_pairs import pairs
from lib.store.reports import AcceptedImpressions
from scripts.__main__ import app


@pytest.fixture
def studies(tmp_path):
    """A studies folder of which two dozen impressions were accepted."""
    (tmp_path / "studies").mkdir()
    accepted = AcceptedImpressions(tmp_path / "state/impressions")
    for number, pair in enumerate(pairs(24, "B", 4)):
        accepted.accept(f"P{number}", 1, pair.language, pair.findings, pair.impression, "reader")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["train", "impression", *map(str, arguments)])


def test_what_readers_accepted_is_learnt_from(studies):
    quick = ["--epochs", 1, "--rank", 2, "--longest", 512, "--state", studies / "state", "--json"]
    result = run(studies / "studies", "-o", studies / "adapter", *quick)
    assert result.exit_code == 0, result.output
    card = json.loads((studies / "adapter/card.json").read_text())
    assert card["data"]["training"] + card["data"]["held_out"] == 24
    assert (studies / "adapter/adapter_model.safetensors").is_file()


@pytest.mark.parametrize(("name", "why"), [("absent", "no file or folder"), ("studies", "accepted yet")])
def test_nothing_to_learn_from_is_said(tmp_path, name, why):
    (tmp_path / "studies").mkdir()
    result = run(tmp_path / name, "-o", tmp_path / "adapter", "--state", tmp_path / "state")
    assert result.exit_code == 2 and why in result.stderr and "Traceback" not in result.output
