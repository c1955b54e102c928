"""Clicks on batches, the loss, and a training that a kill cannot change."""

import math

import numpy as np
import pytest
import torch

from lib.learning.clicks import corrective_clicks
from lib.learning.losses import segmentation_loss
from lib.learning.pretraining import Recipe, Training, TrainingError, answers
from lib.learning.scenes import Scenes
from tests.small_network import tiny_compact


def boxes(*boxes):
    cubes = torch.zeros(len(boxes), 1, 16, 16, 16)
    for cube, (low, high) in zip(cubes, boxes, strict=True):
        cube[0, low:high, low:high, low:high] = 1
    return cubes


def training(folder, steps=6, seed=0, start=0, **recipe):
    scenes = Scenes([], [], 16, 8.0, seed)
    recipe = Recipe(steps=steps, seed=seed, rate=1e-3, **recipe)
    return Training(tiny_compact(seed + start), scenes, recipe, folder / "checkpoint.safetensors")


def test_a_missed_voxel_is_clicked_positive_and_an_excess_one_negative():
    target = boxes((4, 9), (4, 9))
    logits = torch.cat((-torch.ones(1, 1, 16, 16, 16), 2 * boxes((4, 14)) - 1))
    for seed in range(20):
        points, labels = corrective_clicks(logits, target, 4.0, np.random.default_rng(seed))
        assert points.shape == (2, 1, 3) and labels.tolist() == [[1], [0]]
        missed, excess = points[:, 0].int().tolist()
        assert target[0, 0][tuple(missed)] == 1
        assert target[1, 0][tuple(excess)] == 0 and max(excess) < 14


def test_a_cube_without_an_error_gets_a_click_that_says_nothing_new():
    target = boxes((4, 9))
    points, labels = corrective_clicks(2 * target - 1, target, 4.0, np.random.default_rng(0))
    assert labels.item() == 1 and target[0, 0][tuple(points[0, 0].int().tolist())] == 1


def test_clicks_are_chosen_in_several_ways():
    logits, target = -torch.ones(1, 1, 16, 16, 16), boxes((3, 10))
    chosen = [
        tuple(corrective_clicks(logits, target, 4.0, np.random.default_rng(seed))[0][0, 0].tolist())
        for seed in range(30)
    ]
    assert chosen.count((6, 6, 6)) > 5 and len(set(chosen)) > 8


def test_the_loss_of_certain_answers_is_known():
    target = boxes((4, 12))
    assert segmentation_loss(40 * target - 20, target).item() == pytest.approx(0, abs=1e-6)
    nothing = segmentation_loss(torch.full_like(target, -20.0), target).item()
    # Dice 1 - 1/(512 + 1); cross entropy of 20 in each of 512 voxels over 512 + 3000, halved
    assert nothing == pytest.approx(1 - 1 / 513 + 0.5 * 20 * 512 / 3512, rel=1e-4)


def test_as_many_voxels_too_many_cost_as_much_as_too_few():
    target = torch.zeros(1, 1, 16, 16, 16)
    target[:, :, 4:8, 4:8, 4:8] = 1
    few = target.clone()
    few[:, :, 4:8, 4:8, 4:6] = 0  # 32 voxels too few
    many = torch.zeros_like(target)
    many[:, :, 4:8, 4:8, 4:10] = 1  # 32 voxels too many

    def entropy(mask):
        dice = 1 - (2 * (mask * target).sum() + 1) / (mask.sum() + target.sum() + 1)
        return (segmentation_loss(40 * mask - 20, target) - dice).item()

    assert entropy(many) == pytest.approx(entropy(few), rel=1e-3)


def test_a_small_target_counts_as_much_as_a_large_one():
    small, large = boxes((7, 9)), boxes((2, 14))
    loss = [segmentation_loss(torch.full_like(target, -4.0), target).item() for target in (small, large)]
    assert 0.3 < loss[0] / loss[1] < 1


def test_both_answers_can_teach_encoder_and_decoder(tmp_path):
    network = tiny_compact()
    batch = {key: value[None] for key, value in Scenes([], [], 16, 8.0, 0)[0].items()}
    for answer in answers(network, batch, np.random.default_rng(0)):
        gradients = torch.autograd.grad(answer.sum(), list(network.parameters()), retain_graph=True)
        assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir(), halves.mkdir()
    uninterrupted = training(whole)
    uninterrupted.run(lambda _: None, workers=0)
    # A kill loses what came after the last checkpoint; here it lies after step 4 of 6.
    first = training(halves)
    first.run(lambda _: None, workers=0, stop=lambda: first.step == 4)
    resumed = training(halves)
    assert resumed.step == 4
    resumed.run(lambda _: None, workers=0)
    assert resumed.step == 6 and resumed.share == 1
    wanted = uninterrupted.trained().state_dict()
    for key, value in resumed.trained().state_dict().items():
        assert torch.equal(value, wanted[key]), key
    for key, value in resumed.network.state_dict().items():
        assert torch.equal(value, uninterrupted.network.state_dict()[key]), key


def test_a_training_that_is_done_does_nothing_more(tmp_path):
    training(tmp_path, steps=1).run(lambda _: None, workers=0)
    again, steps = training(tmp_path, steps=1), []
    again.run(steps.append, workers=0)
    assert not steps and again.step == 1


def test_the_checkpoint_of_another_training_is_refused(tmp_path):
    training(tmp_path, steps=1).run(lambda _: None, workers=0)
    with pytest.raises(TrainingError, match="another training"):
        training(tmp_path, steps=2)
    with pytest.raises(TrainingError, match="another training"):
        training(tmp_path, steps=1, start=1)
    assert training(tmp_path, steps=1).step == 1


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(TrainingError, match="damaged"):
        training(tmp_path)


def test_steps_or_minutes_must_be_given_but_not_both():
    for wrong in ({}, {"steps": 1, "minutes": 1.0}):
        with pytest.raises(TrainingError, match="one of them"):
            Recipe(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"steps": -1}, {"minutes": 0.0}, {"steps": 1, "seed": -1}]
    + [{"steps": 1, "rate": rate} for rate in (0.0, -1.0, float("nan"), float("inf"))],
)  # fmt: skip
def test_a_recipe_that_cannot_be_followed_is_refused(wrong):
    with pytest.raises(TrainingError):
        Recipe(**wrong)


def test_training_lowers_the_loss_and_the_average_follows(tmp_path):
    """One scene again and again: the network must learn it."""

    class SameScene(Scenes):
        def __getitem__(self, number):
            return super().__getitem__(1)

    learner = Training(
        tiny_compact(0),
        SameScene([], [], 16, 8.0, 0),
        Recipe(steps=40, rate=3e-3, threads=1),
        tmp_path / "checkpoint.safetensors",
    )
    seen = []
    learner.run(seen.append, workers=0)
    losses = [progress.figures["loss_last"] for progress in seen]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    rates = [progress.figures["rate"] for progress in seen]
    assert rates[0] < max(rates) and all(math.isfinite(rate) for rate in rates)
    moved = [
        not torch.equal(value, learner.average[key]) for key, value in learner.network.state_dict().items()
    ]
    assert any(moved)


def test_a_step_moves_every_weight_against_its_gradient(tmp_path):
    """Parameters lie in memory in another order than gradients that are put together; each has its own."""
    learner = training(tmp_path, threads=1)
    batch = next(learner._batches(workers=0))
    gradients, _ = learner._gradients(batch, 0)
    before = [parameter.detach().clone() for parameter in learner.network.parameters()]
    learner._learn(batch)
    for old, new, gradient in zip(before, learner.network.parameters(), gradients, strict=True):
        clear = gradient.abs() > 1e-4 * gradient.abs().max()
        assert ((new.detach() - old).sign() == -gradient.sign())[clear].float().mean() > 0.98
