import re

import pytest

from lib.pet.organ_map import organ_table, side_of
from lib.pet.phantom.classes import CLASSES, LESION_CLASS
from lib.pet.preflight import Preflight
from lib.report.check import check
from lib.report.entities import find_entities
from lib.report.findings import findings_text, site_text
from lib.report.language import ReportError

LESION = {
    "id": 7,
    "organ": "kidney_left",
    "side": "left",
    "relation": "in",
    "site": "in the left kidney",
    "suv_max": 8.46,
    "suv_mean": 5.02,
    "suv_peak": 7.3,
    "mtv_ml": 12.34,
    "volume_ml": 12.34,
    "tlg_g": 61.95,
    "feret_mm": 31.6,
    "voxels": 100,
}
TABLE = {
    "lesions": [LESION],
    "patient": {"count": 1, "tmtv_ml": 12.34, "total_tlg_g": 61.95, "dmax_mm": None},
    "references": {"liver": {"mean": 2.31, "sd": 0.3}, "aorta": None},
    "unit": "SUVbw",
    "tracer": "FDG",
}

#: TotalSegmentator's task "head_glands_cavities".
HEAD = (
    "nasopharynx", "oropharynx", "hypopharynx", "soft_palate", "hard_palate",
    "eye_left", "eye_right", "eye_lens_left", "eye_lens_right", "optic_nerve_left", "optic_nerve_right",
    "parotid_gland_left", "parotid_gland_right", "submandibular_gland_left", "submandibular_gland_right",
    "nasal_cavity_left", "nasal_cavity_right", "auditory_canal_left", "auditory_canal_right",
)  # fmt: skip
MAPPED = sorted(
    {name for name, _ in organ_table().values()} | {*CLASSES.values(), *HEAD} - {CLASSES[LESION_CLASS]}
)


def test_the_findings_hold_site_and_numbers_in_english():
    assert findings_text(TABLE) == (
        "Tracer FDG.\n1 lesion.\nLesion 1 in the left kidney: SUVmax 8.5, SUVmean 5.0, SUVpeak 7.3, MTV "
        "12.3 ml, TLG 62.0 g, largest diameter 32 mm.\nAll lesions: TMTV 12.3 ml, total TLG 62.0 g.\n"
        "References: liver SUVmean 2.3.\n"
    )


def test_the_findings_hold_the_same_in_chinese():
    text = findings_text(TABLE, "zh")
    assert "病灶1，位于左肾" in text and "SUVmax 8.5" in text and "TMTV 12.3 ml" in text
    assert text.endswith("\n") and "Lesion" not in text and "kidney" not in text


@pytest.mark.parametrize("organ", MAPPED)
def test_an_organ_of_a_map_has_a_chinese_name_that_reads_as_its_english_one(organ):
    read = {}
    for language in ("en", "zh"):
        found = find_entities(site_text({"organ": organ}, language))
        read[language] = [(one.concept.id, one.laterality) for one in found]
    assert read["zh"] == read["en"] and {side for _, side in read["zh"]} == {side_of(organ)}
    assert not re.search(r"[a-z]", site_text({"organ": organ}, "zh"))


@pytest.mark.parametrize(
    ("organ", "name"),
    [
        ("kidney_cyst_left", "左肾囊肿"),
        ("portal_vein_and_splenic_vein", "门静脉或脾静脉"),
        ("parotid_gland_right", "右腮腺"),
        ("left_deltoid_insertion", "left deltoid insertion"),
    ],
)
def test_a_chinese_name_says_no_less_than_the_map(organ, name):
    assert site_text({"organ": organ}, "zh") == name


def test_a_renal_cyst_is_in_the_kidney_to_the_check():
    cyst = {**LESION, "organ": "kidney_cyst_left", "site": "in the left renal cyst", "suv_max": 6.0}
    table = {**TABLE, "lesions": [cyst]}
    assert check("左肾囊肿代谢增高，SUVmax 6.0。", table).marks == ()
    assert [one.kind for one in check("右肾囊肿代谢增高，SUVmax 6.0。", table).marks] == ["side"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_same_table_gives_the_same_text(language):
    assert findings_text(TABLE, language) == findings_text(TABLE, language)


def test_what_is_not_known_is_said():
    table = {
        "lesions": [{"id": 1, "max": 5000.0, "mean": 3000.0, "volume_ml": 2.0, "organ": None}],
        "unit": "Bq/ml",
    }
    text = findings_text(table)
    assert "at a site that is not named: max 5000, mean 3000, volume 2.0 ml." in text
    assert "The numbers are not SUV." in text and "there is no organ map" in text


def test_normal_uptake_a_side_beside_the_midline_and_preflight_are_said():
    beside = {
        **LESION,
        "organ": "urinary_bladder",
        "relation": "beside",
        "normal_uptake": True,
        "deauville": 5,
    }
    preflight = Preflight("SUVbw", "by the header", uptake_minutes=61.4, attenuation_corrected=True)
    text = findings_text({**TABLE, "lesions": [beside]}, "en", preflight)
    assert text.startswith("Tracer FDG, uptake time 61 min, attenuation corrected.\n")
    assert "beside the urinary bladder, left side: " in text
    assert "Deauville 5, in an organ with physiological uptake." in text


def test_a_patient_without_lesions_has_findings_too():
    table = {"lesions": [], "patient": {"count": 0}, "references": None, "unit": "SUVbw", "tracer": None}
    assert findings_text(table) == "No lesion was marked.\n"
    assert findings_text(table, "zh") == "未标记病灶。\n"


def test_what_is_no_table_is_refused():
    with pytest.raises(ReportError, match="lesion table"):
        findings_text({"lesion": []})
