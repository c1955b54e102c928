"""Labels that may be wrong: what several prompt sets agree on corrects them, trusted ones stay."""

import numpy as np
import pytest
import torch

from lib.learning.confident import agreement, entropy, mean_answer, rectified


class Oracle:
    """A stand-in for a network that has learnt: it knows the object, whatever it is asked."""

    class config:  # noqa: N801
        image_size, spacing = 16, 8.0

    def __init__(self, *answers, sureness=8.0):
        self.answers, self.sureness, self.clicks = answers, sureness, []

    def decode(self, embedding, points=None, labels=None, mask_logits=None):
        assert (labels == 1).all()
        self.clicks.append(points)
        return self.sureness * (2 * self.answers[len(self.clicks) % len(self.answers)] - 1)

    def upsample(self, logits):
        return logits


def cube(low, high):
    target = torch.zeros(1, 1, 16, 16, 16)
    target[:, :, low:high, low:high, low:high] = 1
    return target


def asked(oracle, label):
    return mean_answer(oracle, None, label, torch.full((1, 1, 3), 7.0), np.random.default_rng(0))


DOUBTED, TRUSTED = torch.tensor([False]), torch.tensor([True])


@pytest.mark.parametrize(
    "label", [cube(6, 10), cube(2, 14), cube(7, 15)], ids=["eroded", "dilated", "shifted"]
)
def test_a_label_that_sure_answers_contradict_is_rectified(label):
    truth = cube(4, 12)
    mean = asked(Oracle(truth), label)
    assert torch.equal(rectified(label, mean, DOUBTED, usual=0.9), truth)


def test_a_trusted_label_stays_as_it_is():
    label = cube(6, 10)
    mean = asked(Oracle(cube(4, 12)), label)
    assert torch.equal(rectified(label, mean, TRUSTED, usual=0.9), label)


def test_a_label_that_agrees_as_usual_stays_and_where_none_agrees_well_less_is_asked():
    label, mean = cube(4, 12), asked(Oracle(cube(4, 11)), cube(4, 12))
    assert agreement(label, mean).item() == pytest.approx(2 * 343 / (343 + 512))
    assert torch.equal(rectified(label, mean, DOUBTED, usual=0.9), label)
    poor = cube(6, 10)
    mean = asked(Oracle(cube(4, 12)), poor)
    assert torch.equal(rectified(poor, mean, DOUBTED, usual=0.25), poor)


def test_voxels_of_which_answers_are_not_sure_pull_at_nothing():
    label = cube(7, 9)
    oracle = Oracle(cube(4, 12), cube(4, 8))
    mean = asked(oracle, label)
    got = rectified(label, mean, DOUBTED, usual=0.9)
    both, one = cube(4, 8) > 0, (cube(4, 12) - cube(4, 8)) > 0
    assert (got[both] == 1).all() and torch.allclose(got[one], torch.tensor(0.5), atol=1e-3)
    assert (got[cube(4, 12) == 0] == 0).all()


def test_every_prompt_set_is_a_click_in_the_label():
    label, oracle = cube(6, 10), Oracle(cube(4, 12))
    asked(oracle, label)
    places = [tuple(points[0, 0].int().tolist()) for points in oracle.clicks]
    assert len(set(places)) > 1 and all(label[0, 0][place] for place in places)


def test_entropy_is_one_bit_at_a_half_and_none_where_it_is_sure():
    values = entropy(torch.tensor([0.0, 0.11, 0.5, 1.0]))
    assert torch.allclose(values, torch.tensor([0.0, 0.4999, 1.0, 0.0]), atol=1e-3)
