"""A training from saved labels to a version in the registry: stopped, killed, resumed, alone."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from lib.learning import tuning_job
from lib.learning.cases import CaseError
from lib.learning.finetuning import Stopped
from lib.learning.promotion import Decision
from lib.learning.studies import labelled_studies
from lib.learning.tuning_job import Job, train_segmentation
from lib.learning.tuning_recipe import FineTuning, FineTuningError
from lib.network import load_network, save_network
from lib.store import LabelVersions, StateFolder, StoreError
from lib.store.locks import held
from lib.store.models import Models
from scripts.__main__ import app
from tests.learning.small_studies import tiny_network, write_studies

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def job(tmp_path):
    write_studies(tmp_path / "studies", 6, labelled=5)
    for sidecar in (tmp_path / "studies").glob("*.json"):
        sidecar.write_text('{"Units": "g/mL", "TracerName": "18F-FDG"}')
    save_network(tiny_network(), tmp_path / "base.safetensors")
    state = StateFolder(tmp_path / "state")
    recipe = FineTuning(epochs=2, rate=5e-3)
    base = tmp_path / "base.safetensors"
    return Job(tmp_path / "studies", state, base, recipe, "SUVbw", phantoms=0)  # whole bodies take seconds


def told(job):
    return json.loads((job.state.path / "training" / "progress.json").read_text())


def test_labels_become_a_version_with_its_card(job):
    seen = []
    outcome = train_segmentation(job, lambda fields: seen.append((fields["stage"], fields["share"])))
    version = Models(job.state.folder("models")).version(outcome.version.number)
    card = version.card
    data = card["data"]
    assert len(data["training"]) + len(data["validation"]) == 5 and data["labels"]["final"] >= 2
    assert not set(data["training"]) & set(data["validation"])
    assert set(card["validation"]["before"]) == set(card["validation"]["after"]) == set(data["validation"])
    assert all(set(by) == {"1", "3", "5"} for by in card["validation"]["after"].values())
    assert card["parent"] == load_network(job.base).digest and card["mode"] == "decoder"
    network = load_network(version.path)
    assert network.digest != card["parent"] and network.config == load_network(job.base).config

    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == ["reading", "embedding", "training", "blending", "validating", "deciding"]
    done = told(job)
    assert done["status"] == "done" and done["version"] == version.number and done["message"] == outcome.why
    assert [epoch["epoch"] for epoch in done["curve"]] == [0, 1, 2]
    assert not list((job.state.path / "training").glob("checkpoint-*"))
    assert card["tracer"] == "FDG"  # all sidecars say so
    assert (card["promoted"], card["why"]) == (False, outcome.why)
    assert card["short"] == "kept: too few frozen patients" and card["rule"]["fewest"] == 3
    assert card["epoch"]["chosen_on"] == data["validation"]  # of so few patients none can be spared
    assert done["warnings"] == list(outcome.warnings) and "not measured" in outcome.warnings[0]  # no phantoms


def test_the_frozen_set_grows_by_a_new_patient_while_it_is_too_small(job):
    first = train_segmentation(job).version.card["data"]
    final = job.studies / "labels" / "final"
    (final / "p5.nii.gz").write_bytes((final / "p0.nii.gz").read_bytes())
    second = train_segmentation(job).version.card["data"]
    assert second["validation"] == [*first["validation"], "p5"]
    assert second["training"] == first["training"]


def test_studies_that_cannot_be_used_are_named_and_in_no_card(job):
    final = job.studies / "labels" / "final"
    empty = nibabel.load(final / "p1.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros(empty.shape, np.uint8), empty.affine), final / "p1.nii.gz")
    (final / "p2.nii.gz").write_bytes(b"junk")
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4), np.uint8), empty.affine), final / "p3.nii.gz")
    outcome = train_segmentation(job)
    data = outcome.version.card["data"]
    assert len(data["validation"]) == 1 and sorted(data["training"] + data["validation"]) == ["p0", "p4"]
    said = [warning.partition(" was left out: ")[::2] for warning in outcome.warnings[1:]]
    assert [name for name, _ in said] == ["p1", "p2", "p3"] and all(why.endswith(".") for _, why in said)
    assert said[0][1] == "Nothing is outlined in it."
    assert told(job)["warnings"] == list(outcome.warnings) and "p1" not in outcome.why


def test_the_epoch_is_chosen_by_patients_that_are_neither_learnt_from_nor_frozen(tmp_path, job):
    write_studies(tmp_path / "more", 13)
    outcome = train_segmentation(replace(job, studies=tmp_path / "more", recipe=FineTuning(epochs=1)))
    card = outcome.version.card
    (chosen_on,) = card["epoch"]["chosen_on"]
    assert len({chosen_on, *card["data"]["training"], *card["data"]["validation"]}) == 1 + 7 + 5


def test_a_champion_of_meanwhile_is_not_taken_over(job, monkeypatch):
    monkeypatch.setattr(tuning_job, "decide", lambda *_: Decision(True, "Promoted.", "promoted"))
    models = Models(job.state.folder("models"))

    def promote_another(fields):
        if fields["stage"] == "deciding" and not models.versions():
            models.promote(models.add(job.base, {}).number)

    outcome = train_segmentation(job, promote_another)
    assert not outcome.promoted and "not the champion any more" in outcome.why
    assert models.champion().number == 1 and outcome.version.card["short"] == "kept: the champion changed"


def test_a_stopped_job_goes_on_where_it_was(job):
    with pytest.raises(Stopped):
        train_segmentation(job, stop=lambda: told(job)["epoch"] >= 1)
    assert told(job)["status"] == "stopped"
    (checkpoint,) = (job.state.path / "training").glob("checkpoint-*")
    others = [
        checkpoint.with_name(name) for name in ("checkpoint-a.safetensors", "checkpoint-a.damaged", ".a.part")
    ]
    for other in others:
        other.write_bytes(b"of a training that was given up")
        os.utime(other, (0, 0))
    assert not Models(job.state.folder("models")).versions()
    starts = []
    train_segmentation(
        job, lambda fields: starts.append(fields["share"]) if fields["stage"] == "training" else None
    )
    assert starts[0] > 0 and not checkpoint.exists()
    assert not any(other.exists() for other in others)


def test_a_second_job_of_the_same_state_folder_is_refused(job):
    with held(job.state.folder("training") / "lock"), pytest.raises(FineTuningError, match="is running"):
        train_segmentation(job)


def test_too_few_patients_are_refused_and_told(job):
    for label in sorted((job.studies / "labels" / "final").iterdir())[1:]:
        label.unlink()
    with pytest.raises(StoreError, match="two patients"):
        train_segmentation(job)
    assert told(job)["status"] == "failed" and "two patients" in told(job)["message"]


def test_a_folder_without_labels_says_what_to_do(tmp_path):
    (tmp_path / "p0.nii.gz").write_bytes(b"")
    with pytest.raises(CaseError, match="has a final label yet"):
        labelled_studies(tmp_path, None)


def test_the_final_label_counts_with_the_objects_that_were_told_apart(job, tmp_path):
    versions = LabelVersions(job.state.folder("labels"))
    final = job.studies / "labels" / "final"
    instances = tmp_path / "instances.nii.gz"
    instances.write_bytes((final / "p1.nii.gz").read_bytes())
    versions.save("p0", final / "p0.nii.gz", {"objects": []}, "anna", "final", instances)
    versions.save("p0", final / "p1.nii.gz", {"objects": []}, "anna", "draft")
    versions.save("p5", final / "p1.nii.gz", {"objects": []}, "ben", "draft")
    found = {study.name: study for study in labelled_studies(job.studies, versions.folder)}
    assert found["p0"].instances == "values" and found["p0"].mask.name == "instances.nii.gz"
    assert found["p1"].instances == "parts" and "p5" not in found
    (final / "p0.nii.gz").write_bytes((final / "p2.nii.gz").read_bytes())  # replaced by another program
    assert labelled_studies(job.studies, versions.folder)[0].mask == final / "p0.nii.gz"
    drafts = {study.name: study for study in labelled_studies(job.studies, versions.folder, None, ["draft"])}
    assert drafts["p5"].status == "draft" and not drafts["p5"].trusted and drafts["p0"].trusted


@pytest.mark.parametrize("damaged", ["version.json", "mask.nii.gz", "instances.nii.gz"])
def test_a_damaged_version_does_not_stop_a_training_on_the_label_that_is_whole(job, damaged):
    versions, final = LabelVersions(job.state.folder("labels")), job.studies / "labels" / "final"
    label = final / "p0.nii.gz"
    versions.save("p0", label, {"objects": []}, "anna", "final", label)
    (versions.folder / "p0" / "1" / damaged).unlink()
    study = labelled_studies(job.studies, versions.folder)[0]
    assert (study.name, study.mask) == ("p0", label)
    assert study.read().objects


def test_a_version_that_says_nothing_is_damaged(job):
    versions, label = LabelVersions(job.state.folder("labels")), job.studies / "labels/final/p0.nii.gz"
    versions.save("p0", label, {"objects": []}, "anna", "final")
    (versions.folder / "p0/1/version.json").write_text('{"number": 1}')
    with pytest.raises(StoreError, match="says no 'status'"):
        versions.versions("p0")
    assert labelled_studies(job.studies, versions.folder)[0].mask == label


def test_a_study_is_another_one_when_its_sidecar_says_what_its_values_are(job):
    before = labelled_studies(job.studies, None)[0].stamp()
    assert labelled_studies(job.studies, None)[0].stamp() == before
    (job.studies / "p0.json").write_text('{"Units": "Bq/mL"}')
    assert labelled_studies(job.studies, None)[0].stamp() != before


def test_studies_of_one_subject_are_one_patients(tmp_path):
    write_studies(tmp_path, 1)
    for name in ("sub-7_ses-1", "sub-7_ses-2"):
        for folder in (tmp_path, tmp_path / "labels" / "final"):
            (folder / f"{name}.nii.gz").write_bytes((folder / "p0.nii.gz").read_bytes())
    patients = {study.name: study.patient() for study in labelled_studies(tmp_path, None)}
    assert patients == {"p0": "p0", "sub-7_ses-1": "sub-7", "sub-7_ses-2": "sub-7"}


def test_a_folder_that_is_not_there_leaves_no_state_folder(tmp_path):
    done = CliRunner().invoke(app, ["train", "segmentation", str(tmp_path / "nowhere")])
    assert (done.exit_code, "There is no folder" in done.output) == (2, True)
    assert not list(tmp_path.iterdir())


def test_the_command_stops_at_ctrl_c_and_goes_on_after_a_kill(tmp_path):
    """The real command: SIGINT, then SIGKILL, then the same command to its end."""
    write_studies(tmp_path / "studies", 5)
    save_network(tiny_network(), tmp_path / "base.safetensors")
    state = tmp_path / "state"
    command = [
        sys.executable, "-P", "-m", "scripts", "train", "segmentation", str(tmp_path / "studies"), "--json",
        "--state", str(state),
        "--model", str(tmp_path / "base.safetensors"), "--epochs", "1", "--phantoms", "0",
    ]  # fmt: skip
    progress = state / "training" / "progress.json"

    def begin():
        progress.unlink(missing_ok=True)
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and child.poll() is None:
            if progress.exists() and json.loads(progress.read_text())["stage"] == "embedding":
                break
            time.sleep(0.02)
        return child

    child = begin()
    os.kill(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 130 and "goes on from here" in said, said
    assert json.loads(progress.read_text())["status"] == "stopped"
    child = begin()
    child.kill()
    child.communicate()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["version"] == 1 and set(outcome["before"]) == {"1", "3", "5"}
    assert Models(state / "models").version(1).card["data"]["labels"] == {"final": 3}
