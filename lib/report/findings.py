"""Findings as text, from the lesion table: the same table, the same text."""

from collections.abc import Mapping
from typing import Any

from lib.pet.organ_map import organ_text, side_of
from lib.pet.preflight import Preflight
from lib.report.entities import find_entities
from lib.report.evidence import measured_lesions
from lib.report.language import Language
from lib.report.lexicon import default_lexicon
from lib.report.phrases import PHRASES, Phrases

#: Numbers of a lesion: key, name in the text, decimals, unit. Those without SUV follow those with it.
_NUMBERS = (
    ("suv_max", "SUVmax", 1, ""),
    ("suv_mean", "SUVmean", 1, ""),
    ("suv_peak", "SUVpeak", 1, ""),
    ("max", "max", 0, ""),
    ("mean", "mean", 0, ""),
    ("mtv_ml", "MTV", 1, " ml"),
    ("tlg_g", "TLG", 1, " g"),
)


def findings_text(
    table: Mapping[str, Any], language: Language = "en", preflight: Preflight | None = None
) -> str:
    """Return structured findings: technique, each lesion in a line, the patient, references, what to mind.

    Lesions are numbered from 1 in the table's order, whatever their ids.

    Args:
        table: as `lib.pet.lesion_table.lesion_table` returns it.
        language: "en" or "zh".
        preflight: of the image; adds uptake time and attenuation correction.

    Raises:
        ReportError: it is no lesion table.
    """
    lesions = measured_lesions(table)
    words = PHRASES[language]
    lines = [_technique(table, preflight, words)]
    lines.append(words.count(len(lesions)))
    for number, entry in enumerate(table["lesions"], start=1):
        lines.append(_lesion(number, entry, table.get("unit"), language))
    lines += [_patient(table, words), _references(table, words)]
    if table.get("unit") != "SUVbw":
        lines.append(words.no_suv)
    if table.get("references") is None and lesions:
        lines.append(words.no_map)
    return "\n".join(filter(None, lines)) + "\n"


def _technique(table: Mapping[str, Any], preflight: Preflight | None, words: Phrases) -> str:
    parts = [words.tracer.format(table["tracer"])] if table.get("tracer") else []
    if preflight and preflight.uptake_minutes is not None:
        parts.append(words.uptake.format(f"{preflight.uptake_minutes:.0f}"))
    if preflight and preflight.attenuation_corrected is not None:
        parts.append(words.corrected if preflight.attenuation_corrected else words.not_corrected)
    return words.sentence(parts)


def _lesion(number: int, entry: Mapping[str, Any], unit: str | None, language: Language) -> str:
    words = PHRASES[language]
    if not entry.get("voxels", 1):
        return words.empty_lesion.format(number)
    parts = [
        f"{name} {entry[key]:.{digits}f}{suffix}"
        for key, name, digits, suffix in _NUMBERS
        if _is_number(entry.get(key))
    ]
    if "mtv_ml" not in entry and _is_number(entry.get("volume_ml")):
        parts.append(words.volume.format(f"{entry['volume_ml']:.1f}"))
    if _is_number(entry.get("feret_mm")):
        parts.append(words.diameter.format(f"{entry['feret_mm']:.0f}"))
    if "deauville" in entry:
        parts.append(words.deauville.format(entry["deauville"]))
    if entry.get("measurable") is False:
        parts.append(words.not_measurable)
    if entry.get("normal_uptake"):
        parts.append(words.normal_uptake)
    return words.lesion.format(number, site_text(entry, language)) + words.sentence(parts)


def site_text(entry: Mapping[str, Any], language: Language) -> str:
    """Return where a lesion lies, such as "in the liver"."""
    words = PHRASES[language]
    organ = entry.get("organ")
    if not organ:
        return words.no_site
    name = str(organ)
    own = side_of(name)
    text = _organ_in_chinese(name) if language == "zh" else f"the {organ_text(name)}"
    aside = words.aside.format(words.sides[entry["side"]]) if entry.get("side") and not own else ""
    relation = words.beside if entry.get("relation") == "beside" else words.within
    return relation.format(text + aside)


def _organ_in_chinese(name: str) -> str:
    """Return an organ's Chinese name: the lexicon's, else made of all its English words, else in English."""
    text, side = organ_text(name), side_of(name)
    concept = default_lexicon().of_organ.get(name)
    if concept:
        concepts = [concept]
    else:
        entities = find_entities(text)
        concepts = [entity.concept for entity in entities]
        unread = list(text)
        for entity in entities:
            unread[entity.start : entity.end] = " " * (entity.end - entity.start)
        if not concepts or set("".join(unread).split()) - {side}:
            return text
    aside = PHRASES["zh"].sides[side] if side and concepts[0].side is None else ""
    return aside + "".join(one.name("zh") for one in concepts)


def _patient(table: Mapping[str, Any], words: Phrases) -> str:
    patient = table.get("patient") or {}
    if not patient.get("count"):
        return ""
    parts = []
    if _is_number(patient.get("tmtv_ml")):
        parts.append(f"TMTV {patient['tmtv_ml']:.1f} ml")
    if _is_number(patient.get("total_tlg_g")):
        parts.append(words.total_tlg.format(f"{patient['total_tlg_g']:.1f}"))
    if _is_number(patient.get("dmax_mm")):
        parts.append(words.spread.format(f"{patient['dmax_mm']:.0f}"))
    if "deauville" in patient:
        parts.append(words.deauville.format(patient["deauville"]))
    return words.patient + words.sentence(parts) if parts else ""


def _references(table: Mapping[str, Any], words: Phrases) -> str:
    references = table.get("references") or {}
    name = "SUVmean" if table.get("unit") == "SUVbw" else "mean"
    parts = [
        f"{title} {name} {references[organ]['mean']:.1f}"
        for organ, title in (("liver", words.liver), ("aorta", words.blood_pool))
        if references.get(organ)
    ]
    return words.references + words.sentence(parts) if parts else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
