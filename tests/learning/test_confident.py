"""Labels that may be wrong: what several prompt sets agree on corrects them, trusted ones stay."""

import numpy as np
import torch

from lib.learning.confident import SURE, doubted, entropy, rectified


class Oracle:
    """A stand-in for a network that has learnt: it knows the object, whatever it is asked."""

    class config:  # noqa: N801
        image_size, spacing = 16, 8.0

    def __init__(self, truth, sureness=8.0):
        self.logits = sureness * (2 * truth - 1)

    def decode(self, embedding, points=None, labels=None, mask_logits=None):
        return self.logits

    def upsample(self, logits):
        return logits


def cube(low, high):
    target = torch.zeros(1, 1, 16, 16, 16)
    target[:, :, low:high, low:high, low:high] = 1
    return target


def first_click():
    return torch.full((1, 1, 3), 7.0)


def test_an_eroded_label_gets_back_what_sure_answers_agree_on():
    truth, label = cube(4, 12), cube(6, 10)
    got = rectified(
        Oracle(truth), None, label, first_click(), torch.tensor([False]), np.random.default_rng(0)
    )
    assert torch.allclose(got, truth, atol=0.01)


def test_a_trusted_label_stays_as_it_is():
    truth, label = cube(4, 12), cube(6, 10)
    both, labels = torch.cat((truth, truth)), torch.cat((label, label))
    points = first_click().expand(2, -1, -1)
    got = rectified(Oracle(both), None, labels, points, torch.tensor([True, False]), np.random.default_rng(0))
    assert torch.equal(got[0], label[0]) and not torch.equal(got[1], label[0])


def test_an_uncertain_answer_only_weakens_a_label():
    label = cube(6, 10)
    mean = torch.full_like(label, 0.5)
    assert torch.allclose(doubted(label, mean), torch.ones_like(label))
    mean[:] = 0.7
    doubt = doubted(label, mean)
    assert torch.allclose(doubt, entropy(mean)) and 0.8 < doubt[0, 0, 0, 0, 0] < 1


def test_a_sure_answer_outvotes_a_label_and_one_that_agrees_leaves_it_alone():
    label = torch.tensor([1.0, 0.0, 1.0, 0.0])
    mean = torch.tensor([1 - SURE - 0.01, SURE + 0.01, 0.999, 0.001])
    doubt = doubted(label, mean)
    assert doubt[:2].tolist() == [1, 1] and (doubt[2:] < 0.02).all()


def test_entropy_is_one_bit_at_a_half_and_none_where_it_is_sure():
    values = entropy(torch.tensor([0.0, 0.11, 0.5, 1.0]))
    assert torch.allclose(values, torch.tensor([0.0, 0.4999, 1.0, 0.0]), atol=1e-3)
