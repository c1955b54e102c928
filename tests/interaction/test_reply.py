import numpy as np
import pytest

from lib.interaction import Engine, RegionGrower, describe, read_prompts, reply
from lib.pet import Volume, make_phantom, quantify, summarise

LABELS = ("background", "lesion")


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(49)


def clicks(phantom, *lesions):
    """A click on the hottest voxel of each of these lesions."""
    places = []
    for number in lesions:
        values = np.where(phantom.lesions == number, phantom.volume.array, -np.inf)
        places.append([int(at) for at in np.unravel_index(values.argmax(), values.shape)])
    return read_prompts({"lesion": places}, LABELS, phantom.volume.shape)


def test_every_object_is_described_with_its_numbers(phantom):
    engine = Engine(RegionGrower())
    update = engine.update(phantom.volume, (), clicks(phantom, 1, 2))
    described = describe(phantom.volume, update, engine)
    assert [obj["id"] for obj in described["objects"]] == [1, 2]
    for obj in described["objects"]:
        numbers = quantify(phantom.volume, update.masks[obj["id"]]).as_dict()
        assert numbers["suv_max"] >= max(numbers["suv_peak"], numbers["suv_mean"]) > 0
        assert obj | numbers == obj
    assert described["warnings"] == []


def test_the_patient_s_numbers_are_those_of_the_lesions(phantom):
    engine = Engine(RegionGrower())
    lesions = clicks(phantom, 1, 2).positive["lesion"]
    liver = np.argwhere(phantom.labels == 1)
    prompts = {"lesion": [list(at) for at in lesions], "liver": [liver[len(liver) // 2].tolist()]}
    update = engine.update(
        phantom.volume, (), read_prompts(prompts, (*LABELS, "liver"), phantom.volume.shape)
    )
    masks = {obj.id: update.masks[obj.id] for obj in update.objects if obj.label == "lesion"}
    assert len(masks) == 2 and len(update.objects) == 3
    patient = describe(phantom.volume, update, engine)["patient"]
    assert patient == summarise(phantom.volume, masks).as_dict()
    assert patient["count"] == 2 and patient["dmax_mm"] > 0


def test_an_object_that_was_left_alone_is_not_measured_again(phantom, monkeypatch):
    measured = []
    monkeypatch.setattr(reply, "quantify", lambda *both: measured.append(both) or quantify(*both))
    engine = Engine(RegionGrower())
    update = engine.update(phantom.volume, (), clicks(phantom, 1))
    first = describe(phantom.volume, update, engine)
    update = engine.update(phantom.volume, update.objects, clicks(phantom, 1, 2))
    second = describe(phantom.volume, update, engine)
    assert [mask for _, mask in measured] == [update.masks[1], update.masks[2]]
    assert second["objects"][0] == first["objects"][0]


def test_the_same_mask_in_another_image_is_measured_there(phantom):
    engine = Engine(RegionGrower())
    update = engine.update(phantom.volume, (), clicks(phantom, 1))
    doubled = Volume(2 * phantom.volume.array, phantom.volume.affine, "Bq/ml")
    suv = describe(phantom.volume, update, engine)["objects"][0]
    other = describe(doubled, update, engine)
    assert other["objects"][0]["max"] == pytest.approx(2 * suv["suv_max"])
    assert "suv_max" not in other["objects"][0] and "no SUV" in other["warnings"][0]


def test_a_click_is_told_that_its_numbers_cannot_be_suv(phantom):
    volume = Volume(phantom.volume.array * np.float32(5000), phantom.volume.affine, "SUVbw")
    engine = Engine(RegionGrower())
    update = engine.update(volume, (), clicks(phantom, 1))
    (warning,) = describe(volume, update, engine)["warnings"]
    assert "cannot be (object 1)" in warning
