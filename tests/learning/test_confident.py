"""Labels that may be wrong: what several prompt sets agree on corrects them, trusted ones stay."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.learning.confident import entropy, judged, mean_answer, rectified
from lib.learning.kept_regions import Batch, Kept


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


DOUBTED = torch.tensor([True])


@pytest.mark.parametrize(
    "label", [cube(6, 10), cube(2, 14), cube(7, 15)], ids=["eroded", "dilated", "shifted"]
)
def test_a_doubted_label_that_sure_answers_contradict_is_rectified(label):
    truth = cube(4, 12)
    mean = asked(Oracle(truth), label)
    assert torch.equal(rectified(label, mean, DOUBTED), truth)
    assert torch.equal(rectified(label, mean, ~DOUBTED), label)


class Cases:
    """Kept regions of which each number is a label: two regions an object."""

    def __init__(self, *labels):
        self.labels = labels

    def regions(self, trusted=()):
        return [Kept(Path("study"), n, n // 2, n // 2 in trusted) for n in range(2 * len(self.labels))]

    def read(self, regions):
        target = torch.cat([self.labels[region.object] for region in regions])
        points = torch.full((len(regions), 1, 3), 7.0)
        return Batch(None, torch.zeros(len(regions)), target, points)


def verdict(cases, trusted=()):
    return judged(Oracle(cube(4, 12)), cases, cases.regions(trusted), np.random.default_rng(0))


def test_objects_that_agree_less_than_usual_are_doubted_in_all_their_regions():
    sound, large, elsewhere = cube(4, 12), cube(3, 13), cube(11, 15)
    assert verdict(Cases(sound, sound, sound, large, elsewhere)) == {6, 7, 8, 9}


def test_a_trusted_label_is_never_doubted():
    assert verdict(Cases(cube(4, 12), cube(4, 12), cube(11, 15)), trusted={0, 1, 2}) == set()
    assert verdict(Cases(cube(11, 15), cube(4, 12), cube(4, 12), cube(11, 15)), trusted={0}) == {6, 7}


def test_where_most_labels_that_may_be_wrong_are_the_trusted_ones_say_what_is_usual():
    sound, wrong = cube(4, 12), cube(6, 10)
    labels = Cases(wrong, wrong, wrong, sound, sound, sound, sound)
    assert verdict(labels, trusted={3, 4, 5, 6}) == {0, 1, 2, 3, 4, 5}
    assert verdict(Cases(wrong, wrong, wrong, sound)) == set()


def test_where_no_label_agrees_well_less_is_asked():
    poor = cube(6, 10)
    assert verdict(Cases(poor, poor, poor)) == set()


def test_of_voxels_of_which_answers_are_not_sure_their_mean_is_learnt():
    label = cube(7, 9)
    oracle = Oracle(cube(4, 12), cube(4, 8))
    mean = asked(oracle, label)
    got = rectified(label, mean, DOUBTED)
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
