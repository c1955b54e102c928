"""Synthetic pairs of findings and impression, for a model that shows the way and for tests.

Findings are `lib.report.findings` of random lesion tables. Impressions follow a house style: A repeats
site and SUVmax of each lesion and ends with the burden; B is one paragraph that begins with the tracer. No
patient is behind them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from lib.pet.preflight import Preflight
from lib.report.findings import findings_text, site_text
from lib.report.language import LANGUAGES, Language
from lib.report.text_pairs import Pair

Style = Literal["A", "B"]
TRACERS = ("FDG", "PSMA", "DOTATATE", "FES")
#: A tracer that the demonstration model has never seen.
UNSEEN_TRACER = "FAPI"
#: TotalSegmentator's names of where lesions lie; left and right are drawn alike.
ORGANS = (
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right", "liver", "spleen", "pancreas", "stomach", "colon", "small_bowel", "esophagus",
    "thyroid_gland", "prostate", "adrenal_gland_left", "adrenal_gland_right", "kidney_left", "kidney_right",
    "vertebrae_T5", "vertebrae_T12", "vertebrae_L1", "vertebrae_L2", "vertebrae_L3", "vertebrae_L4",
    "vertebrae_L5", "sacrum", "sternum", "hip_left", "hip_right", "femur_left", "femur_right", "rib_left_5",
    "rib_right_7", "humerus_left", "humerus_right", "scapula_left", "scapula_right", "brain", "heart",
)  # fmt: skip


def pairs(number: int, style: Style, seed: int, tracers: tuple[str, ...] = TRACERS) -> Iterator[Pair]:
    """Yield pairs, English and Chinese by turns; the same arguments, the same pairs.

    Raises:
        ReportError: never, unless the findings' format has changed.
    """
    for n in range(number):
        random = np.random.default_rng([seed, n, ord(style)])
        language = LANGUAGES[n % 2]
        table = _table(random, tracers)
        preflight = None
        if random.random() < 0.5:
            minutes = float(random.integers(45, 120))
            preflight = Preflight("SUVbw", "", uptake_minutes=minutes, attenuation_corrected=True)
        findings = findings_text(table, language, preflight)
        yield Pair(f"{style}-{seed}-{n}", language, findings, impression(table, language, style))


def impression(table: Mapping[str, Any], language: Language, style: Style) -> str:
    """Return a lesion table's impression in a house style."""
    lesions = table["lesions"]
    if not lesions:
        return _NONE[style][language].format(table["tracer"])
    sites = [site_text(lesion, language) for lesion in lesions]
    words = [f"{lesion['suv_max']:.1f}" for lesion in lesions]
    burden = f"{table['patient']['tmtv_ml']:.1f}"
    if style == "A":
        lines = [
            _LINE[language].format(n, site, suv)
            for n, (site, suv) in enumerate(zip(sites, words, strict=True), start=1)
        ]
        return "\n".join([*lines, _TOTAL[language].format(burden)])
    one = _PLACE[language]
    places = _BETWEEN[language].join(one.format(site, suv) for site, suv in zip(sites, words, strict=True))
    return _PARAGRAPH[language].format(table["tracer"], len(lesions), places, burden)


_NONE: dict[Style, dict[Language, str]] = {
    "A": {"en": "No lesion was marked.", "zh": "未标记病灶。"},
    "B": {"en": "{}-PET: no sign of disease.", "zh": "{} PET：未见病变征象。"},
}
_LINE: dict[Language, str] = {"en": "Lesion {} {}: SUVmax {}.", "zh": "病灶{}，位于{}：SUVmax {}。"}
_TOTAL: dict[Language, str] = {"en": "All lesions: TMTV {} ml.", "zh": "全部病灶：TMTV {} ml。"}
_PLACE: dict[Language, str] = {
    "en": "{} with intense uptake (SUVmax {})",
    "zh": "{}摄取明显增高（SUVmax {}）",
}
_BETWEEN: dict[Language, str] = {"en": "; ", "zh": "；"}
_PARAGRAPH: dict[Language, str] = {
    "en": "{}-PET positive for viable tumour at {} site(s): {}. Tumour burden TMTV {} ml.",
    "zh": "{} PET 阳性，存活肿瘤 {} 处：{}。肿瘤负荷 TMTV {} ml。",
}


def _table(random: np.random.Generator, tracers: tuple[str, ...]) -> dict[str, Any]:
    count = int(random.choice(5, p=(0.06, 0.38, 0.3, 0.18, 0.08)))
    named = random.random() < 0.9
    lesions = [_lesion(random, named) for _ in range(count)]
    patient: dict[str, Any] = {"count": count, "tmtv_ml": sum(one["mtv_ml"] for one in lesions)}
    patient["total_tlg_g"] = sum(one["tlg_g"] for one in lesions)
    if count > 1:
        patient["dmax_mm"] = float(random.integers(20, 900))
    references = {"liver": {"mean": random.uniform(0.8, 6)}, "aorta": {"mean": random.uniform(0.8, 3)}}
    return {
        "unit": "SUVbw",
        "tracer": str(random.choice(tracers)),
        "lesions": lesions,
        "patient": patient,
        "references": references if named else None,
    }


def _lesion(random: np.random.Generator, named: bool) -> dict[str, Any]:
    high = float(np.exp(random.uniform(np.log(2), np.log(40))))
    mean = high * random.uniform(0.4, 0.7)
    volume = float(np.exp(random.uniform(np.log(0.5), np.log(150))))
    lesion: dict[str, Any] = {
        "suv_max": high, "suv_mean": mean, "suv_peak": high * random.uniform(0.7, 0.95), "mtv_ml": volume,
        "tlg_g": mean * volume, "feret_mm": float(random.integers(6, 90)), "voxels": 100,
    }  # fmt: skip
    if named and random.random() < 0.95:
        lesion["organ"] = str(random.choice(ORGANS))
        lesion["relation"] = "beside" if random.random() < 0.15 else "within"
        if random.random() < 0.3:
            lesion["side"] = str(random.choice(("left", "right")))
    return lesion
