"""A network with a far spacing looks from afar where nearer looks leave it unsure; the surer look counts."""

import numpy as np
import pytest
import torch
from isocontour_network import IsocontourNetwork, Size
from looking import AROUND_MM as FAR_MM
from looking import MIDDLE, NEAR_MM, SHAPE, clicked, edges, volume_with

from lib.interaction import Engine, NetworkSegmenter
from lib.interaction.certainty import expected_dice
from lib.interaction.network_segmenter import NEARER_FROM
from lib.pet import Volume


class Hesitant(IsocontourNetwork):
    """Is unsure until it sees the quiet body about an object."""

    near = 0.1

    def decode(self, embedding, points=None, labels=None, mask_logits=None):
        quiet = float((embedding < 0.2).float().mean())
        logits = super().decode(embedding, points, labels, mask_logits)
        return logits * (20.0 if quiet > 0.4 else self.near)


def engine(network=Hesitant, **spacings):
    return Engine(NetworkSegmenter(network(Size(**spacings))))


def test_what_a_near_look_leaves_unsure_is_answered_from_afar():
    volume, far_out = volume_with(radius=22), (32, 32, 52)
    assert not clicked(engine(), volume).masks[1].contains(far_out)
    update = clicked(engine(far_spacing=8.0), volume)
    assert edges(update) == {FAR_MM}
    assert update.masks[1].contains(far_out)


def test_where_the_near_look_is_sure_nobody_looks_from_afar():
    asked = engine(far_spacing=8.0)
    update = clicked(asked, volume_with(radius=6))
    assert edges(update) == {NEAR_MM}
    assert asked.segmenter.network.decoded == 1


def test_a_look_from_afar_that_is_no_surer_does_not_count():
    volume = Volume(np.full(SHAPE, 2.0, np.float32), np.diag([4.0] * 3 + [1.0]), "SUVbw")
    asked = engine(far_spacing=8.0)
    assert FAR_MM not in edges(clicked(asked, volume))
    assert asked.segmenter.network.decoded > 1


def test_the_next_click_goes_on_from_what_was_seen_from_afar():
    volume, far_out = volume_with(radius=22), (32, 32, 52)
    asked = engine(far_spacing=8.0)
    first = clicked(asked, volume)
    after = clicked(asked, volume, negative=(far_out,), before=first.objects)
    assert not after.masks[1].contains(far_out) and after.masks[1].contains((32, 32, 12))
    again = clicked(engine(far_spacing=8.0), volume, negative=((32, 12, 32),), before=after.objects)
    other = clicked(asked, volume, negative=((32, 12, 32),), before=after.objects)
    np.testing.assert_array_equal(again.masks[1].to_grid(SHAPE), other.masks[1].to_grid(SHAPE))


@pytest.mark.parametrize(("inside", "wanted"), [(0.0, 2 * 0.5 / 1.5), (40.0, 1.0)])
def test_the_expected_dice_counts_chances(inside, wanted):
    logits = torch.full((1, 1, 4, 4, 4), -40.0)
    mask = np.zeros((4, 4, 4), bool)
    mask[1:3] = True
    logits[0, 0, 1:3] = inside
    assert expected_dice(logits, mask) == pytest.approx(wanted)
    assert expected_dice(logits, np.zeros_like(mask)) == 0


def test_the_answer_from_afar_stays_until_the_network_is_surer_of_a_nearer_one():
    volume = volume_with(radius=22)
    asked = engine(far_spacing=8.0)
    objects = clicked(asked, volume).objects
    network = asked.segmenter.network
    for near, k, wanted in ((0.5, 30, {FAR_MM}), (20.0, 28, {NEAR_MM})):
        network.near = near
        update = clicked(asked, volume, positive=(MIDDLE, (32, 32, k)), before=objects)
        assert edges(update) == wanted


def test_after_some_corrections_the_nearer_regions_go_on_from_what_was_seen_from_afar():
    volume, asked = volume_with(radius=22), engine(far_spacing=8.0)
    update = clicked(asked, volume)
    network = asked.segmenter.network
    clicks = [MIDDLE]
    while len(clicks) < NEARER_FROM:
        assert edges(update) == {FAR_MM}
        clicks.append((32, 32, 30 - len(clicks)))
        before, seen = update.masks[1], network.decoded
        update = clicked(asked, volume, clicks, before=update.objects)
    assert edges(update) == {NEAR_MM}
    inside = before.to_grid(SHAPE)[16:48, 16:48, 16:48]  # the region about the first click
    given = torch.nn.functional.interpolate(network.given[seen], scale_factor=2)[0, 0].numpy()
    assert ((given > 0) == inside).mean() > 0.9


def test_what_looks_like_the_whole_body_from_afar_does_not_count():
    asked = engine(far_spacing=8.0)
    update = clicked(asked, volume_with(radius=31))  # 252 mm from side to side
    assert FAR_MM not in edges(update)
    assert asked.segmenter.network.decoded > 1
