from fnmatch import fnmatchcase

import pytest

from lib.pet.organ_map import organ_table
from lib.pet.tracers import TracerError, read_tracers, tracer_named, tracers

NAMES = {"FDG", "PSMA-11", "PSMA-1007", "DCFPyL", "DOTATATE", "FAPI-04", "FAPI-46", "FLT"}
# Of TotalSegmentator's task head_glands_cavities.
GLANDS = {f"{gland}_gland_{side}" for gland in ("parotid", "submandibular") for side in ("left", "right")}


def test_the_tracers_in_use_are_in_the_table_with_their_sources():
    assert {tracer.name for tracer in tracers()} == NAMES
    for tracer in tracers():
        assert tracer.sources and tracer.normal_uptake and tracer.window > 0
        assert set(tracer.nuclides) <= {"F-18", "Ga-68", "Cu-64"}
        assert all(threshold.source for threshold in tracer.thresholds)


@pytest.mark.parametrize("tracer", tracers(), ids=lambda tracer: tracer.name)
def test_every_organ_with_normal_uptake_is_one_of_totalsegmentator_s(tracer):
    organs = {name for name, _ in organ_table().values()} | GLANDS
    for pattern in tracer.normal_uptake:
        assert any(fnmatchcase(name, pattern) for name in organs), pattern


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FDG", "FDG"),
        ("FDG -- fluorodeoxyglucose", "FDG"),
        ("Fluorodeoxyglucose F^18^", "FDG"),
        ("[18F]FDG", "FDG"),
        ("F-18 Fludeoxyglucose", "FDG"),
        ("F-18 labelled FDG", "FDG"),
        ("2-[18F]fluoro-2-deoxy-D-glucose", "FDG"),
        ("F18-Fluordesoxyglukose", "FDG"),
        ("Fludésoxyglucose (18F)", "FDG"),
        ("18F-氟代脱氧葡萄糖", "FDG"),
        ("35321007", "FDG"),
        ("C-B1031", "FDG"),
        ("18F-PSMA1007", "PSMA-1007"),
        ("PSMA-1007 F^18^", "PSMA-1007"),
        ("68Ga-PSMA-11", "PSMA-11"),
        ("Ga-68 PSMA HBED-CC", "PSMA-11"),
        ("Piflufolastat F^18^", "DCFPyL"),
        ("dcfpyl", "DCFPyL"),
        ("64Cu-DOTATATE", "DOTATATE"),
        ("DOTA TATE", "DOTATATE"),
        ("FAPI_46", "FAPI-46"),
        ("68Ga-FAPI-4", "FAPI-04"),
        ("Thymidine (FLT) F^18^", "FLT"),
        ("129502002", "FLT"),
    ],
)
def test_a_tracer_is_found_by_what_headers_call_it(text, name):
    assert tracer_named(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "PSMA",
        "FAPI",
        "Florbetapir F^18^",
        "FDGal",
        "PSMA-617",
        "18F",
        "-",
        "FDG-labelled leukocytes",
    ],
)
def test_another_tracer_is_none(text):
    assert tracer_named(text) is None


def test_the_shared_header_s_tracer_is_found(shared):
    import pydicom

    path = shared / "data" / "pet-slices" / "ge_propcps_uncorrected.dcm"
    if not path.is_file():
        pytest.skip("no ../shared/data/pet-slices")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    item = header.RadiopharmaceuticalInformationSequence[0]
    assert tracer_named(item.Radiopharmaceutical).name == "FDG"
    assert tracer_named(item.RadiopharmaceuticalCodeSequence[0].CodeValue).name == "FDG"


GOOD = """
[[tracer]]
name = "X"
full_name = "x"
nuclides = ["F-18"]
aliases = []
codes = []
window = 5
normal_uptake = ["liver"]
thresholds = [{ kind = "suv", value = 3, source = "us" }]
sources = ["us"]
"""


def test_a_team_s_own_table_is_read(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(GOOD + GOOD.replace('"X"', '"Y"'))
    read = read_tracers(path)
    assert [tracer.name for tracer in read] == ["X", "Y"]
    assert (read[0].window, read[0].thresholds[0].value) == (5.0, 3.0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no tracers"),
        ("tracer = 5", "holds no tracers"),
        ("[[tracer]", "is no table of tracers"),
        (GOOD + GOOD, "holds a tracer twice"),
        (GOOD.replace("window = 5\n", ""), "must have the fields"),
        (GOOD + "colour = 1\n", "must have the fields"),
        (GOOD.replace("window = 5", "window = -1"), "display window"),
        (GOOD.replace("window = 5", 'window = "wide"'), "display window"),
        (GOOD.replace('["liver"]', '"liver"'), "lists of text"),
        (GOOD.replace('"X"', "7"), "must have text for names"),
        (GOOD.replace('"suv"', '"guess"'), "thresholds of a kind"),
        (GOOD.replace("value = 3", "value = 0"), "thresholds of a kind"),
    ],
)
def test_another_table_is_refused(tmp_path, content, said):
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(TracerError, match=said):
        read_tracers(path)
