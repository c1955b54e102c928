"""Campaigns with simulated labels: labels help, wrong ones are made on purpose, and what is told of it."""

import json
import xml.etree.ElementTree as ElementTree

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lib.learning.blending import blended
from lib.learning.campaign import Campaign, Result, at_random, run, strategies
from lib.learning.campaign_report import plot, summarise_campaigns, table
from lib.learning.cases import find_cases
from lib.learning.kept_regions import KeptRegions
from lib.learning.phantom_studies import rehearsed, retained, watched
from lib.learning.simulated_studies import FAULTS, corrupted, with_wrong_labels
from lib.learning.tuned_parts import TunedNetwork
from lib.learning.tuning_recipe import FineTuning
from lib.pet import Crop
from scripts import InputError
from scripts.__main__ import app
from scripts.evaluate_learning import _checksum, _done
from tests.learning.small_studies import BallStudy, ball, tiny_network


def campaign(folder, **changes):
    settings = {
        "base": tiny_network(),
        "pool": [BallStudy(f"p{n}", n) for n in range(6)],
        "test": [BallStudy("t0", 50)],
        "old": [],
        "rehearsed": [],
        "watched": [],
        "budgets": (1, 3),
        "recipe": FineTuning(mode="full", epochs=8, rate=1e-2, average=0.9),
        "folder": folder,
        "each": 3,
    }
    return Campaign(**{**settings, **changes})


def test_labels_help_and_the_order_is_the_seeds(tmp_path):
    results = run(campaign(tmp_path), "random", at_random, 0)
    assert [one.labels for one in results] == [0, 1, 3]
    assert results[2].chosen[:1] == results[1].chosen and len(set(results[2].chosen)) == 3
    assert results[2].dice["1"] > results[0].dice["1"] + 0.1
    again = run(campaign(tmp_path, budgets=(1,)), "random", at_random, 0)
    assert again[1].chosen == results[1].chosen and again[1].dice == results[1].dice


def test_what_others_learnt_from_the_same_labels_is_not_learnt_again(tmp_path, monkeypatch):
    settings = {"pool": [BallStudy(f"p{n}", n) for n in range(2)], "budgets": (2,)}
    first = run(campaign(tmp_path, **settings), "random", at_random, 0)
    monkeypatch.setattr("lib.learning.campaign.trained", None)
    second = run(campaign(tmp_path, **settings), "other", at_random, 0, known=first)
    assert [one.dice for one in second] == [one.dice for one in first]
    assert {one.strategy for one in second} == {"other"} and second[1].seconds == first[1].seconds
    with pytest.raises(TypeError):  # in another seed it is
        run(campaign(tmp_path, **settings), "other", at_random, 1, known=first)


@pytest.mark.parametrize("name", ["uncertain", "mixed"])
def test_a_strategy_orders_all_studies_and_the_same_way_again(name):
    pool = [BallStudy(f"p{n}", n) for n in range(4)]
    network = tiny_network()
    orders = [strategies()[name](network, pool, 5, np.random.default_rng(1)) for _ in range(2)]
    assert orders[0] == orders[1] and {one.name for one in orders[0]} == {one.name for one in pool}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_corrupted_label_is_wrong_in_the_way_that_is_said(fault):
    truth = Crop.from_grid(ball((12, 12, 12), 4))
    wrong = corrupted(truth, fault, (24, 24, 24), (8.0, 8.0, 8.0), np.random.default_rng(0))
    both = np.count_nonzero(truth.to_grid((24,) * 3) & wrong.to_grid((24,) * 3))
    if fault == "missing":
        assert not wrong.any()
    elif fault == "eroded":
        assert both == wrong.count == round(0.4 * truth.count)
    elif fault == "dilated":
        assert both == truth.count and wrong.count == round(2.5 * truth.count)
    else:
        assert 0 < both < 0.7 * truth.count and abs(wrong.count - truth.count) <= 2


def test_exactly_the_share_that_is_asked_for_is_corrupted_and_nobody_vouches_for_any():
    sound = [BallStudy(f"s{n}", n) for n in range(10)]
    drawn = with_wrong_labels(sound, 0.4, 1)
    assert sorted(one.fault for one in drawn if one.fault) == sorted(FAULTS)
    assert not any(one.trusted for one in drawn)
    for study, one in zip(sound, drawn, strict=True):
        case = one.read()
        labels = dict(zip(case.values, case.objects, strict=True))
        same = [
            value in labels and labels[value].equals(truth)
            for value, truth in zip((1, 2), study.read().objects, strict=True)
        ]
        assert same == [one.fault is None] * 2  # every object of a wrong label is
    assert {one.name for one in with_wrong_labels(sound, 0.4, 2) if one.fault} != {
        one.name for one in drawn if one.fault
    }


def test_weights_that_lose_what_was_known_are_blended_with_the_old_ones(tmp_path):
    base = tiny_network()
    kept = KeptRegions(tmp_path, base, encoded=True, each=1)
    regions = kept.of([BallStudy("old", 1)])
    with torch.no_grad():
        base.decoder.logits.weight.zero_()
        base.decoder.logits.bias.fill_(1.0)  # everything is lesion: better than nothing
        ruined = TunedNetwork(base, "decoder")
        ruined.network.decoder.logits.bias.fill_(-1.5)
    mixed, share = blended(base, ruined.merged(), kept, regions)
    assert share == 0.25 and mixed.digest not in (base.digest, ruined.merged().digest)
    same, share = blended(base, base, kept, regions)
    assert share == 1 and same.digest == base.digest


def test_phantoms_that_are_rehearsed_watched_and_measured_are_never_the_same():
    drawn = [{study.seed for study in of(8)} for of in (rehearsed, watched, retained)]
    assert sum(map(len, drawn)) == len(set.union(*drawn)) == 24


def test_the_report_tells_means_over_seeds_and_what_random_had():
    def result(strategy, seed, labels, dice):
        return Result(
            strategy, seed, labels, dict.fromkeys("135", dice), dict.fromkeys("135", 0.9), 60.0, 1.0
        )

    results = []
    for strategy, more in (("random", 0.0), ("best", 0.05)):
        for seed in (0, 1):
            results.append(result(strategy, seed, 0, 0.5 + 0.01 * seed))
            results.append(result(strategy, seed, 5, 0.6 + 0.01 * seed + more))
    rows = summarise_campaigns(results)
    assert rows["best"]["5"]["dice"]["mean"] == pytest.approx(0.655)
    assert rows["best"]["5"]["gain"]["mean"] == pytest.approx(0.15)
    assert rows["best"]["5"]["against_random"]["mean"] == pytest.approx(0.05)
    assert rows["random"]["5"]["gain"]["ci95"][0] == pytest.approx(0.1)
    assert "| best | 5 | 0.655 (" in table(results)
    picture = ElementTree.fromstring(plot(results, "Dice after 1 click"))
    words = "".join(picture.itertext())
    assert "labels" in words and "best" in words and "random" in words


def test_results_are_those_of_one_folder_of_cases_and_one_base(tmp_path):
    for name in ("a", "b"):
        study = tmp_path / name / "case"
        study.mkdir(parents=True)
        image = nibabel.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4))
        for file in ("PET_image", "PET_mask"):
            nibabel.save(image, study / f"{file}.nii.gz")
    one, other = (_checksum(find_cases(tmp_path / name)) for name in "ab")
    (tmp_path / "a/case/PET_image.json").write_text('{"Units": "g/mL"}')
    assert len({one, other, _checksum(find_cases(tmp_path / "a"))}) == 3
    settings, out = {"cases": one, "base": "this"}, tmp_path / "out"
    assert _done(out, settings) == []
    kept = Result("random", 0, 5, {"1": 0.5}, {}, 60.0, 1.0)
    (out / "results.jsonl").write_text(json.dumps(kept.as_dict()) + "\n")
    assert [result.dice for result in _done(out, settings)] == [{"1": 0.5}]
    for changed in ({"cases": other}, {"base": "that"}):
        with pytest.raises(InputError, match="other settings"):
            _done(out, settings | changed)
    (out / "results.jsonl").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        _done(out, settings)


def test_bad_input_is_one_sentence(tmp_path):
    for options, said in (
        (["--labels", "five"], "no list of numbers"),
        (["--strategies", "oracle"], "no strategy oracle"),
        (["--mode", "nope"], "mode must be"),
        ([str(tmp_path), "--tracer", "FOO"], "give cases or --tracer"),
    ):
        done = CliRunner().invoke(app, ["evaluate", "learning", "-o", str(tmp_path / "out"), *options])
        assert done.exit_code == 2 and said in done.output
        assert not (tmp_path / "out").exists()
