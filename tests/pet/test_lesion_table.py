import json

import numpy as np
import pytest

from lib.pet import Crop, Preflight, Volume, quantify
from lib.pet.lesion_table import lesion_table
from lib.pet.organ_map import OrganMap
from lib.pet.tracers import tracer_named

AFFINE = np.diag([-4.0, -4.0, 4.0, 1.0])


@pytest.fixture
def study():
    """Liver (2), aorta (1.5), spine, bladder (20), and the body (0.5) with three lesions."""
    labels = np.zeros((60, 40, 50), np.uint8)
    labels[5:22, 10:30, 20:40] = 5
    labels[32:38, 20:26, 2:48] = 52
    labels[28:31, 28:32, 2:48] = 29
    labels[25:35, 5:15, 0:8] = 21
    array = np.full(labels.shape, 0.5, np.float32)
    for label, value in ((5, 2.0), (52, 1.5), (21, 20.0)):
        array[labels == label] = value
    lesions = {
        1: Crop((10, 12, 22), np.ones((3, 3, 3), np.bool_)),  # in the liver
        2: Crop((50, 20, 30), np.ones((4, 4, 4), np.bool_)),  # left, beside nothing
        7: Crop((27, 7, 1), np.ones((4, 4, 4), np.bool_)),  # in the bladder
    }
    array[lesions[1].slices], array[lesions[2].slices] = 10, 3
    organs = OrganMap(labels, {5: "liver", 52: "aorta", 29: "vertebrae_L3", 21: "urinary_bladder"}, AFFINE)
    return Volume(array, AFFINE, "SUVbw"), lesions, organs


def test_without_a_map_sites_are_not_named_and_said_to_be(study):
    volume, lesions, _ = study
    table = lesion_table(volume, lesions)
    assert table["warnings"] == ["No organ map: sites are not named."]
    assert (table["references"], table["tracer"], table["unit"]) == (None, None, "SUVbw")
    assert [entry["id"] for entry in table["lesions"]] == [1, 2, 7]
    for entry in table["lesions"]:
        assert entry["site"] is entry["organ"] is entry["side"] is None
        assert "measurable" not in entry and "deauville" not in entry
        numbers = quantify(volume, lesions[entry["id"]]).as_dict()
        assert entry | numbers == entry
    assert table["patient"]["count"] == 3
    assert table["patient"]["tmtv_ml"] == pytest.approx((27 + 64 + 64) * 0.064)


def test_with_a_map_and_a_tracer_everything_is_said(study):
    volume, lesions, organs = study
    table = lesion_table(volume, lesions, organs, tracer_named("FDG"))
    liver, free, bladder = table["lesions"]
    assert (liver["site"], liver["organ"], liver["side"], liver["relation"]) == (
        "in the liver (right)",
        "liver",
        "right",
        "in",
    )
    assert (free["site"], free["organ"]) == ("no organ of the map within 15 mm", None)
    assert bladder["site"] == "in the urinary bladder"
    assert [entry["deauville"] for entry in table["lesions"]] == [5, 4, 5]
    assert table["patient"]["deauville"] == 5
    assert [entry["normal_uptake"] for entry in table["lesions"]] == [True, False, True]
    references = table["references"]
    assert (references["liver"]["mean"], references["aorta"]["max"]) == (2.0, 1.5)  # the lesion is left out
    assert (references["percist_limit"], references["percist_organ"]) == (3.0, "liver")
    assert [entry["measurable"] for entry in table["lesions"]] == [True, free["suv_peak"] >= 3, True]
    assert table["warnings"] == []
    json.dumps(table)


def test_a_tracer_adds_its_own_thresholds(study):
    volume, lesions, organs = study
    psma = tracer_named("PSMA-11")
    with_map = lesion_table(volume, lesions, organs, psma)["lesions"][1]
    assert with_map["thresholds_ml"] == pytest.approx(
        {"suv_4": 0, "suv_2.5": 4.096, "suv_3": 4.096, "liver": 0, "41_percent": 4.096}
    )  # the liver's is 4.3 x (2 + 0) / 2
    assert "measurable" not in with_map  # PERCIST is for FDG
    without = lesion_table(volume, lesions, None, psma)["lesions"][1]
    assert without["thresholds_ml"].keys() == {"suv_4", "suv_2.5", "suv_3", "41_percent"}
    assert "deauville" not in with_map and "normal_uptake" not in without


@pytest.mark.parametrize(
    ("stated", "nuclide", "has_percist"),
    [
        ("Ga-68 DOTATOC", "Ga-68", False),
        ("18F-rhPSMA-7.3", "F-18", False),
        ("", "Ga-68", False),
        ("", "F-18", True),
        ("", "", True),
    ],
)
def test_percist_is_not_told_of_a_tracer_that_the_table_does_not_know(study, stated, nuclide, has_percist):
    volume, lesions, organs = study
    preflight = Preflight("SUVbw", "the header", tracer=stated, nuclide=nuclide)
    table = lesion_table(Volume(volume.array, AFFINE, "SUVbw", preflight), lesions, organs)
    assert (table["references"]["percist_limit"] is not None) == has_percist
    assert all(("measurable" in lesion) == has_percist for lesion in table["lesions"])


def test_without_a_healthy_liver_the_aorta_gives_the_limit_and_it_is_said(study):
    volume, lesions, organs = study
    no_liver = OrganMap(organs.labels, {52: "aorta"}, AFFINE)
    table = lesion_table(volume, lesions, no_liver, tracer_named("FDG"))
    assert table["references"]["liver"] is None
    assert (table["references"]["percist_limit"], table["references"]["percist_organ"]) == (3.0, "aorta")
    assert "aorta" in table["warnings"][0] and "deauville" not in table["patient"]
    of_psma = lesion_table(volume, lesions, no_liver, tracer_named("PSMA-11"))
    assert of_psma["references"]["percist_limit"] is None
    assert of_psma["warnings"] == ["No sphere of 3 cm fits into the right liver outside of lesions."]
    table = lesion_table(volume, lesions, OrganMap(organs.labels, {29: "vertebrae_L3"}, AFFINE))
    assert table["references"]["percist_limit"] is None
    assert "measurable" not in table["lesions"][0]


def test_no_number_is_called_suv_where_it_is_none(study):
    volume, lesions, organs = study
    table = lesion_table(Volume(volume.array, AFFINE, "Bq/ml"), lesions, organs, tracer_named("FDG"))
    assert "no SUV: this image's values are Bq/ml" in table["warnings"][0]
    assert "suv" not in json.dumps(table).replace("no SUV", "").lower()
    assert "deauville" not in table["patient"]


def test_a_patient_without_lesions_is_a_deauville_1(study):
    volume, _, organs = study
    table = lesion_table(volume, {}, organs, tracer_named("FDG"))
    assert (table["lesions"], table["patient"]["count"], table["patient"]["deauville"]) == ([], 0, 1)


def test_an_empty_lesion_and_a_sheared_grid_are_survived(study):
    volume, lesions, organs = study
    sheared = AFFINE.copy()
    sheared[0, 1] = 1.0
    table = lesion_table(
        Volume(volume.array, sheared, "SUVbw"),
        {1: lesions[1], 2: Crop.empty()},
        OrganMap(organs.labels, organs.names, sheared),
        tracer_named("FDG"),
    )
    assert table["lesions"][0]["suv_peak"] is None and table["lesions"][1]["suv_max"] is None
    assert "no peak" in table["warnings"][-1]
    assert table["lesions"][1]["site"] == "no organ of the map within 15 mm"
