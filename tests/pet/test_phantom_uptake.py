"""Uptake tables: those that come with SegPET, and those that a team adds."""

import re

import numpy as np
import pytest
from scipy import ndimage

from lib.pet import make_phantom
from lib.pet.phantom import UptakeError, uptake_of
from lib.pet.phantom.uptake import TISSUES
from lib.pet.tracers import tracer_named

FIELD, VOXEL = (64, 48, 108), (6, 6, 6)
TABLE = """
[MyTracer]
aliases = ["68Ga-Mine"]
nuclide = "Ga-68"
dose_mbq = 120
uptake_minutes = 45
sources = ["made up for a test"]
[MyTracer.tissues]
fat = [0.3, 0.1]
muscle = [0.5, 0.1]
blood = [1.0, 0.2]
lung = [0.4, 0.1]
marrow = [0.8, 0.2]
liver = [3.0, 0.5]
spleen = [25.0, 0.0]
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize("tracer", ["FDG", "PSMA-11", "DOTATATE"])
def test_a_table_of_segpet_has_every_tissue_a_source_and_a_known_tracer(tracer):
    uptake = uptake_of(tracer)
    assert set(uptake.tissues) >= set(TISSUES) - {"air", "rib", "mediastinum"}
    assert uptake.sources and all(re.search(r"doi|PMID|\d{4};\d+", one) for one in uptake.sources)
    assert tracer_named(uptake.tracer).name == tracer
    assert uptake.nuclide in tracer_named(uptake.tracer).nuclides


@pytest.mark.parametrize(
    ("name", "tracer"),
    [
        ("fdg", "FDG"),
        ("18F-FDG", "FDG"),
        ("PSMA", "PSMA-11"),
        ("gozetotide", "PSMA-11"),
        ("dota-tate", "DOTATATE"),
    ],
)
def test_a_tracer_is_found_by_its_other_names(name, tracer):
    assert uptake_of(name).tracer == tracer


@pytest.mark.parametrize("tracer", ["FDG", "PSMA", "DOTATATE"])
def test_organs_take_up_what_the_table_says(tracer):
    uptake = uptake_of(tracer)
    measured = {"liver": [], "spleen": []}
    for seed in range(8):
        phantom = make_phantom(seed, FIELD, VOXEL, tracer, lesions=0)
        for number, name in phantom.names.items():
            if name in measured:
                inner = ndimage.binary_erosion(phantom.organs == number)
                measured[name].append(float(phantom.volume.array[inner].mean()))
    for name, values in measured.items():
        mean, sd = uptake.mean_sd(name)
        assert np.mean(values) == pytest.approx(mean, abs=3.5 * sd / np.sqrt(8))
        assert all(mean - 2.6 * sd <= value <= mean + 2.6 * sd for value in values)
        assert np.std(values) > 0.3 * sd


def test_draws_have_the_table_s_mean_and_spread():
    uptake, random = uptake_of("FDG"), np.random.default_rng(0)
    drawn = [uptake.draw(random) for _ in range(3000)]
    for tissue in ("liver", "brain_grey", "muscle", "myocardium"):
        mean, sd = uptake.mean_sd(tissue)
        values = [one[tissue] for one in drawn]
        assert np.mean(values) == pytest.approx(mean, rel=0.06)
        assert np.std(values) == pytest.approx(sd, rel=0.3)
        assert min(values) > 0


def test_a_new_tracer_is_a_new_table(table):
    phantom = make_phantom(0, FIELD, VOXEL, "68ga-mine", lesions=0, uptake_table=table)
    assert phantom.uptake.tracer == "MyTracer"
    spleen = next(number for number, name in phantom.names.items() if name == "spleen")
    inner = ndimage.binary_erosion(phantom.organs == spleen)
    assert phantom.volume.array[inner].mean() == pytest.approx(25, rel=0.06)


def test_a_tissue_that_a_table_leaves_out_takes_after_its_neighbour(table):
    uptake = uptake_of("MyTracer", table)
    assert uptake.mean_sd("kidney_pelvis") == uptake.mean_sd("liver")
    assert uptake.mean_sd("pancreas") == (1.0, 0.2)
    assert uptake.mean_sd("air") == (0.0, 0.0)


def test_a_table_of_one_s_own_goes_before_segpet_s(table):
    table.write_text(TABLE.replace("MyTracer", "FDG"))
    assert uptake_of("FDG", table).mean_sd("spleen") == (25.0, 0.0)
    assert uptake_of("PSMA", table).tracer == "PSMA-11"


@pytest.mark.parametrize(
    ("find", "instead", "sentence"),
    [
        ("[MyTracer]", "[MyTracer", "cannot be used as uptake tables"),
        (TABLE, "", "holds no uptake tables"),
        ("liver = [3.0, 0.5]\n", "", "must say the uptake of fat, muscle"),
        ("spleen", "spleeen", "names 'spleeen'"),
        ("[25.0, 0.0]", "25.0", "give spleen two numbers"),
        ("[25.0, 0.0]", "[25.0, -1]", "give spleen two numbers"),
        ('"Ga-68"', '"Xx-1"', "must name a nuclide: one of C-11"),
        ("dose_mbq = 120", 'dose_mbq = "120"', "must give dose_mbq"),
        ("dose_mbq = 120\n", "", "must have the fields aliases"),
        ('["68Ga-Mine"]', '"68Ga-Mine"', "aliases and sources as lists"),
    ],
)
def test_a_table_that_is_wrong_is_refused_in_a_sentence(table, find, instead, sentence):
    assert find in TABLE
    table.write_text(TABLE.replace(find, instead))
    with pytest.raises(UptakeError, match=sentence) as raised:
        uptake_of("MyTracer", table)
    assert str(raised.value).count("\n") == 0 or "cannot be used" in str(raised.value)


def test_an_unknown_tracer_is_refused_with_the_known_ones(table):
    with pytest.raises(UptakeError, match="'water': use one of FDG, PSMA-11, DOTATATE"):
        uptake_of("water")
    with pytest.raises(UptakeError, match="use one of MyTracer, FDG"):
        uptake_of("water", table)


def test_a_table_that_is_missing_is_refused(tmp_path):
    with pytest.raises(UptakeError, match="none cannot be used as uptake tables: no such file or directory"):
        uptake_of("FDG", tmp_path / "none")


def test_what_is_no_file_of_text_is_refused(tmp_path):
    with pytest.raises(UptakeError, match="cannot be used as uptake tables: is a directory"):
        uptake_of("FDG", tmp_path)
    (tmp_path / "image").write_bytes(b"\xff\xfe")
    with pytest.raises(UptakeError, match="image cannot be used as uptake tables: it is no text in UTF-8"):
        uptake_of("FDG", tmp_path / "image")


def test_a_tracer_that_spares_the_liver_gives_an_image(table):
    table.write_text(TABLE.replace("liver = [3.0, 0.5]", "liver = [0, 0]"))
    phantom = make_phantom(0, FIELD, VOXEL, "MyTracer", lesions=0, uptake_table=table)
    assert np.isfinite(phantom.volume.array).all() and phantom.volume.array.max() > 10
