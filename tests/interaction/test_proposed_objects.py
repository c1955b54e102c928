import numpy as np
import pytest
from isocontour_network import IsocontourNetwork

from lib.interaction import (
    AnnotatedObject,
    Engine,
    NetworkSegmenter,
    PromptError,
    Prompts,
    RegionGrower,
    Seed,
    lesion_label,
    propose_objects,
    propose_seeds,
)
from lib.interaction.proposed_objects import MOST_ML
from lib.pet import Volume

HOT, COOLER, NEIGHBOUR = (20, 20, 20), (34, 34, 40), (24, 20, 20)


def volume(*spots, shape=(56, 56, 64), spacing=4.0):
    """Tissue of SUV 0.8 with balls of (centre, radius in mm, SUV)."""
    values = np.full(shape, 0.8, np.float32)
    at = np.moveaxis(np.indices(shape), 0, -1)
    for centre, radius, suv in spots:
        away = np.linalg.norm((at - centre) * spacing, axis=-1)
        values[away <= radius] = (suv - 0.01 * away)[away <= radius]
    return Volume(values, np.diag([spacing, spacing, spacing, 1.0]), "SUVbw")


TWO = volume((HOT, 12, 9.0), (COOLER, 12, 7.0))
SEEDS = (Seed(HOT, 9.0), Seed(COOLER, 7.0))


@pytest.fixture(params=["suv_region", "network"])
def engine(request):
    return Engine(RegionGrower() if request.param == "suv_region" else NetworkSegmenter(IsocontourNetwork()))


def after(engine, update, **clicks):
    negative = clicks.pop("background", ())
    return engine.update(TWO, update.objects, Prompts(clicks, negative))


def test_each_seed_becomes_a_proposed_object_that_keeps_it(engine):
    assert propose_seeds(TWO) == tuple(Seed(seed.index, pytest.approx(seed.value)) for seed in SEEDS)
    update = propose_objects(engine, TWO, "lesion", SEEDS)
    assert [(obj.status, obj.label, obj.seeds, obj.positive) for obj in update.objects] == [
        ("proposed", "lesion", {HOT}, {HOT}),
        ("proposed", "lesion", {COOLER}, {COOLER}),
    ]
    assert all(
        update.masks[obj.id].contains(seed.index) for obj, seed in zip(update.objects, SEEDS, strict=True)
    )
    assert update.warnings == ()


def test_a_proposal_is_what_a_click_there_would_give(engine):
    proposed = propose_objects(engine, TWO, "lesion", SEEDS[:1])
    clicked = engine.update(TWO, (), Prompts({"lesion": (HOT,)}))
    np.testing.assert_array_equal(proposed.masks[1].to_grid(TWO.shape), clicked.masks[1].to_grid(TWO.shape))


def test_a_seed_in_an_earlier_mask_adds_nothing(engine):
    once = propose_objects(engine, TWO, "lesion", SEEDS[:1])
    twice = propose_objects(engine, TWO, "lesion", (SEEDS[0], Seed((20, 21, 20), 8.9)))
    assert [obj.steps for obj in twice.objects] == [obj.steps for obj in once.objects]


def test_proposals_whose_masks_touch_are_one_object():
    pair = volume((HOT, 8, 9.0), (NEIGHBOUR, 8, 3.5))  # the cooler one lies below the hotter one's 41 %
    update = propose_objects(
        Engine(RegionGrower()), pair, "lesion", (Seed(HOT, 9.0), Seed((25, 20, 20), 3.4))
    )
    (obj,) = update.objects
    assert obj.seeds == {HOT, (25, 20, 20)}


def test_an_organ_sized_mask_is_left_out_and_said():
    big = volume(((28, 28, 32), 70, 9.0), ((5, 5, 5), 12, 7.0))
    update = propose_objects(
        Engine(RegionGrower()), big, "lesion", (Seed((28, 28, 32), 9.0), Seed((5, 5, 5), 7.0))
    )
    assert [obj.seeds for obj in update.objects] == [{(5, 5, 5)}]
    assert update.warnings == (
        f"1 of 2 proposals left out, at (28, 28, 32): the mask is larger than {MOST_ML:.0f} ml.",
    )


def test_a_leak_is_left_out_and_said():
    everything = volume(((28, 28, 32), 300, 9.0))
    engine = Engine(NetworkSegmenter(IsocontourNetwork()))
    update = propose_objects(engine, everything, "lesion", (Seed((28, 28, 32), 9.0),))
    assert update.objects == ()
    (warning,) = update.warnings
    assert warning.startswith("1 of 1 proposals left out, at (28, 28, 32):")


def test_without_seeds_there_is_nothing(engine):
    update = propose_objects(engine, TWO, "lesion", ())
    assert (update.objects, update.masks, update.warnings) == ((), {}, ())


def test_a_proposal_stays_until_a_click_takes_it_up_or_rejects_it(engine):
    proposed = propose_objects(engine, TWO, "lesion", SEEDS)
    none = after(engine, proposed)
    assert none.objects == proposed.objects
    taken_up = after(engine, none, lesion=((21, 20, 20),))
    assert [obj.status for obj in taken_up.objects] == ["draft", "proposed"]
    undone = after(engine, taken_up)
    assert undone.objects == proposed.objects
    rejected = after(engine, taken_up, lesion=((21, 20, 20),), background=(COOLER,))
    assert [obj.seeds for obj in rejected.objects] == [{HOT}]
    other_label = after(engine, proposed, heart=(COOLER,))
    assert [(obj.label, obj.status) for obj in other_label.objects] == [
        ("lesion", "proposed"),
        ("heart", "draft"),
    ]


def test_a_negative_click_in_a_proposal_that_was_taken_up_corrects_it(engine):
    proposed = propose_objects(engine, TWO, "lesion", SEEDS[:1])
    corrected = after(engine, proposed, lesion=((21, 20, 20),))
    corrected = after(engine, corrected, lesion=((21, 20, 20),), background=((18, 20, 20),))
    (obj,) = corrected.objects
    assert obj.negative == {(18, 20, 20)}
    assert not corrected.masks[obj.id].contains((18, 20, 20))
    no_seed = after(engine, corrected, lesion=((21, 20, 20),), background=(HOT,))
    assert [obj.positive for obj in no_seed.objects] == [{(21, 20, 20)}]


def test_seeds_outlive_the_journal(engine):
    (obj, _) = propose_objects(engine, TWO, "lesion", SEEDS).objects
    assert AnnotatedObject.from_dict(obj.as_dict()) == obj
    assert "seeds" not in AnnotatedObject.new(1, "lesion", None).as_dict()


def test_lesions_are_proposed_under_the_first_label_that_means_one():
    assert lesion_label(("background", "liver", "tumour", "lesion")) == "tumour"
    with pytest.raises(PromptError, match="add the label lesion"):
        lesion_label(("background", "liver"))
