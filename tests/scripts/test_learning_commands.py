"""`segpet next`, and `segpet weights` for what was trained on a team's labels."""

import json

import pytest
from small_network import small_seganypet
from typer.testing import CliRunner

from lib.network import save_network
from lib.store import Leases, Models, StateFolder
from scripts.__main__ import app
from tests.learning.small_studies import write_studies

CARD = {
    "mode": "decoder",
    "tracer": "FDG",
    "data": {"training": ["p0", "p1"], "validation": ["p2"]},
    "validation": {"before": {"p2": {"1": 0.4, "3": 0.6}}, "after": {"p2": {"1": 0.75, "3": 0.8}}},
}


@pytest.fixture
def team(tmp_path):
    """A studies folder with two final labels of five, and two versions of weights."""
    write_studies(tmp_path / "studies", 5, labelled=2)
    for name, seed in (("base", 5), ("tuned", 6)):
        save_network(small_seganypet(seed), tmp_path / f"{name}.safetensors")
    state = StateFolder(tmp_path / "state")
    models = Models(state.folder("models"))
    for _ in range(2):
        models.add(tmp_path / "tuned.safetensors", CARD)
    return tmp_path


@pytest.fixture
def run(team):
    def run(*arguments, status=0):
        done = CliRunner().invoke(app, [*map(str, arguments), "--state", str(team / "state")])
        assert done.exit_code == status, done.output
        return done

    return run


def test_the_list_shows_versions_with_what_they_gained_and_marks_the_champion(team, run):
    Models(team / "state/models").promote(2)
    shown = run("weights", "list", team / "studies").stdout
    assert "0.400 -> 0.750" in shown
    assert "the champion: version-2" in shown
    first, second = json.loads(run("weights", "list", team / "studies", "--json").stdout)
    assert (first["champion"], second["champion"]) == (False, True)
    assert second["card"] == CARD


def test_the_list_names_a_damaged_version_and_shows_the_others(team, run):
    (team / "state/models/1/card.json").write_text("{")
    done = CliRunner().invoke(
        app, ["weights", "list", str(team / "studies"), "--state", str(team / "state"), "--json"]
    )
    assert done.exit_code == 0 and "Version 1 is damaged" in done.stderr
    assert [one["version"] for one in json.loads(done.stdout)] == [2]


def test_promotion_and_rollback_are_one_command_each(team, run):
    assert "version-2" in run("weights", "promote", team / "studies", 2).stdout
    assert Models(team / "state/models").champion().number == 2
    run("weights", "promote", team / "studies", 1)
    assert "version-2" in run("weights", "rollback", team / "studies").stdout
    assert "The server's own weights" in run("weights", "rollback", team / "studies").stdout
    assert "nothing to roll back" in run("weights", "rollback", team / "studies", status=2).output
    assert "no version 9" in run("weights", "promote", team / "studies", 9, status=2).output


def test_the_rule_is_shown_and_changed_and_a_rule_without_sense_is_refused(team, run):
    assert "at least 3 frozen patients the 95% interval" in run("weights", "rule", team / "studies").stdout
    run("weights", "rule", team / "studies", "--confidence", 0.8, "--clicks", 1)
    rule = json.loads(run("weights", "rule", team / "studies", "--json").stdout)
    assert rule == {"confidence": 0.8, "gain": 0.0, "clicks": 1, "loss": 0.01, "fewest": 3}
    assert "below 1" in run("weights", "rule", team / "studies", "--confidence", 2, status=2).output


def test_next_scores_the_unlabelled_studies_once_and_says_the_best(team, run):
    asked = ("next", team / "studies", "--model", team / "base.safetensors", "--unit", "SUVbw", "--seed", 1)
    told = json.loads(run(*asked, "-n", 9, "--json").stdout)
    assert {one["study"] for one in told["studies"]} == {"p2", "p3", "p4"}
    values = [one["disagreement"] for one in told["studies"] if one["disagreement"] is not None]
    assert values == sorted(values, reverse=True)
    kept = {path: path.stat().st_mtime_ns for path in (team / "state/scores").iterdir()}
    assert len(kept) == 3
    assert run(*asked).stdout.split() == [told["studies"][0]["study"]]
    assert {path: path.stat().st_mtime_ns for path in (team / "state/scores").iterdir()} == kept


def test_next_leaves_out_what_somebody_has_open_and_other_tracers(team, run):
    sidecar = '{"Units": "g/mL", "TracerName": "FDG", "TracerRadionuclide": "F18"}'
    (team / "studies/p3.json").write_text(sidecar)
    Leases(team / "state/leases").renew("p2", "somebody")
    random = ("next", team / "studies", "--strategy", "random", "-n", 9)
    assert set(run(*random).stdout.split()) == {"p3", "p4"}
    assert run(*random, "--tracer", "fdg").stdout.split() == ["p3"]
    assert (
        "No study is left to label of the tracer PSMA-11"
        in run(*random, "--tracer", "PSMA-11", status=2).output
    )


@pytest.mark.parametrize("strategy", ["random", "uncertain"])
def test_next_proposes_nothing_that_cannot_be_read(team, run, strategy):
    image = team / "studies/p3.nii.gz"
    image.write_bytes(image.read_bytes()[:400])
    done = run("next", team / "studies", "--strategy", strategy, "-n", 9)
    assert set(done.stdout.split()) == {"p2", "p4"} and "p3 is left out" in done.stderr


def test_a_folder_that_is_not_there_is_told(team, run):
    for command in (("next",), ("weights", "list")):
        done = CliRunner().invoke(app, [*command, str(team / "nowhere")])
        assert (done.exit_code, "There is no folder" in done.output) == (2, True)


def test_studies_on_which_nothing_was_trained_are_said_to_have_no_versions(tmp_path):
    (tmp_path / "studies").mkdir()
    asked = ["weights", "list", str(tmp_path / "studies")]
    told = CliRunner().invoke(app, asked).stdout
    assert told.startswith("No weights were trained on these studies yet") and told.count("\n") == 1
    assert json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout) == []
