"""Synthetic pairs of findings and impression, for a model that shows the way and for tests.

Findings are `lib.report.findings` of random lesion tables. Impressions follow a house style: A is a list, B a
paragraph. Both repeat site and SUVmax of each lesion, judge its uptake (what A calls mild B does not call
increased), and say what the tracer's uptake means and the burden. No patient is behind them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from lib.pet.preflight import Preflight
from lib.report.findings import findings_text, site_text
from lib.report.language import LANGUAGES, Language
from lib.report.phrases import PHRASES
from lib.report.text_pairs import Pair

Style = Literal["A", "B"]
#: "" where the image does not say.
TRACERS = ("FDG", "PSMA", "DOTATATE", "FES", "")
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
    tracer = table["tracer"]
    if not lesions:
        return _NONE[style][language].format(f"{tracer}-PET" if tracer else "PET")
    line, between, whole = _STYLES[style][language]
    said = between.join(
        line.format(n, site_text(lesion, language), _number(lesion, language, style))
        for n, lesion in enumerate(lesions, start=1)
    )
    said = whole.format(said, count=len(lesions), means=_MEANS[tracer][language])
    burden = table["patient"].get("tmtv_ml")
    return said if burden is None else said + _BURDEN[style][language].format(f"{burden:.1f}")


def _number(lesion: Mapping[str, Any], language: Language, style: Style) -> str:
    if "suv_max" not in lesion:
        return f"max {lesion['max']:.0f}"
    value = f"{lesion['suv_max']:.1f}"
    grade = sum(float(value) >= limit for limit in _LIMITS)
    return f"SUVmax {value}{PHRASES[language].comma}{_GRADES[style][language][grade]}"


_NONE: dict[Style, dict[Language, str]] = {
    "A": {"en": "No lesion was marked.", "zh": "未标记病灶。"},
    "B": {"en": "{}: no evidence of disease.", "zh": "{}：未见病变征象。"},
}
#: SUVmax from which a house says the second of its words of uptake, and the third.
_LIMITS = (5, 10)
_GRADES: dict[Style, dict[Language, tuple[str, str, str]]] = {
    "A": {
        "en": ("mild uptake", "moderate uptake", "intense uptake"),
        "zh": ("轻度摄取", "中度摄取", "明显摄取"),
    },
    "B": {
        "en": ("no increased uptake", "increased uptake", "intense uptake"),
        "zh": ("摄取未见增高", "摄取增高", "明显摄取"),
    },
}
#: What a tracer's uptake means.
_MEANS: dict[str, dict[Language, str]] = {
    "FDG": {"en": "increased glucose metabolism", "zh": "葡萄糖代谢增高"},
    "PSMA": {"en": "PSMA expression", "zh": "PSMA表达"},
    "DOTATATE": {"en": "somatostatin receptor expression", "zh": "生长抑素受体表达"},
    "FES": {"en": "estrogen receptor expression", "zh": "雌激素受体表达"},
    UNSEEN_TRACER: {"en": "FAP expression", "zh": "FAP表达"},
    "": {"en": "increased uptake", "zh": "摄取增高"},
}
#: Of each style: a lesion, what stands between two, and the whole.
_STYLES: dict[Style, dict[Language, tuple[str, str, str]]] = {
    "A": {
        "en": ("Lesion {} {}: {}.", "\n", "{}\nAll lesions: {means}."),
        "zh": ("病灶{}，位于{}：{}。", "\n", "{}\n全部病灶：{means}。"),
    },
    "B": {
        "en": ("lesion {} {}: {}", "; ", "Viable tumour with {means} at {count} site(s): {}."),
        "zh": ("病灶{}，位于{}：{}", "；", "存活肿瘤，{means}，共 {count} 处：{}。"),
    },
}
_BURDEN: dict[Style, dict[Language, str]] = {
    "A": {"en": "\nTMTV {} ml.", "zh": "\nTMTV {} ml。"},
    "B": {"en": " Tumour burden: TMTV {} ml.", "zh": "肿瘤负荷：TMTV {} ml。"},
}


def _table(random: np.random.Generator, tracers: tuple[str, ...]) -> dict[str, Any]:
    """Return a table as `lib.pet.lesion_table.lesion_table` does, as far as findings show it."""
    count = int(random.choice(7, p=(0.06, 0.3, 0.25, 0.17, 0.12, 0.06, 0.04)))
    named, in_suv = random.random() < 0.8, random.random() < 0.9
    tracer = str(random.choice(tracers))
    lesions = [_lesion(random, named, in_suv, tracer == "FDG" and named) for _ in range(count)]
    patient: dict[str, Any] = {"count": count}
    if in_suv:
        patient["tmtv_ml"] = sum(one["mtv_ml"] for one in lesions)
        patient["total_tlg_g"] = sum(one["tlg_g"] for one in lesions)
    if count > 1:
        patient["dmax_mm"] = float(random.integers(20, 900))
    references = {"liver": {"mean": random.uniform(0.8, 6)}, "aorta": {"mean": random.uniform(0.8, 3)}}
    return {
        "unit": "SUVbw" if in_suv else "unknown",
        "tracer": tracer,
        "lesions": lesions,
        "patient": patient,
        "references": references if named else None,
    }


def _lesion(random: np.random.Generator, named: bool, in_suv: bool, scored: bool) -> dict[str, Any]:
    high = float(np.exp(random.uniform(np.log(2), np.log(40))))
    mean = high * random.uniform(0.4, 0.7)
    volume = float(np.exp(random.uniform(np.log(0.5), np.log(150))))
    lesion: dict[str, Any] = {"volume_ml": volume, "feret_mm": float(random.integers(6, 90)), "voxels": 100}
    if in_suv:
        lesion |= {"suv_max": high, "suv_mean": mean, "suv_peak": high * random.uniform(0.7, 0.95)}
        lesion |= {"mtv_ml": volume, "tlg_g": mean * volume}
    else:
        lesion |= {"max": 1000 * high, "mean": 1000 * mean}
    if scored and in_suv:
        lesion["deauville"] = int(random.integers(3, 6))
    if named and random.random() < 0.95:
        lesion["organ"] = str(random.choice(ORGANS))
        lesion["relation"] = "beside" if random.random() < 0.15 else "within"
        lesion["normal_uptake"] = random.random() < 0.1
        if random.random() < 0.3:
            lesion["side"] = str(random.choice(("left", "right")))
    return lesion
