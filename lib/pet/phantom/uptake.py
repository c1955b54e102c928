"""Uptake tables: the mean SUV of every normal tissue for each tracer, and its spread between patients."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.pet.nuclides import HALF_LIVES
from lib.pet.tracers import tracer_named

_TABLE = Path(__file__).parents[1] / "data" / "phantom_uptake.toml"
#: Every tissue of the body, and what a table that does not name it has in its place.
TISSUES: dict[str, str | None] = {
    "fat": None, "muscle": None, "blood": None, "lung": None, "marrow": None, "liver": None,
    "air": None, "bone": "marrow", "rib": "bone", "mediastinum": "muscle", "myocardium": "blood",
    "spleen": "liver", "kidney_cortex": "liver", "kidney_pelvis": "kidney_cortex", "urine": "kidney_pelvis",
    "ureter": "urine", "gallbladder": "blood", "stomach": "muscle", "stomach_content": "fat",
    "pancreas": "blood", "adrenal": "blood", "duodenum": "small_bowel", "small_bowel": "blood",
    "colon": "small_bowel", "esophagus": "blood",
    "thyroid": "blood", "prostate": "blood", "uterus": "blood", "ovary": "blood", "testis": "blood",
    "breast": "fat", "parotid_gland": "muscle", "submandibular_gland": "parotid_gland",
    "lacrimal_gland": "parotid_gland", "pituitary": "blood", "tonsil": "blood", "nasal_mucosa": "muscle",
    "eye": "fat", "brain_grey": "fat", "brain_white": "brain_grey", "spinal_cord": "brain_white",
}  # fmt: skip
_REQUIRED = tuple(tissue for tissue, instead in TISSUES.items() if instead is None and tissue != "air")
_FIELDS = ("aliases", "nuclide", "dose_mbq", "uptake_minutes", "sources", "tissues")


class UptakeError(ValueError):
    """An uptake table that cannot be used, or none for a tracer; the message is one sentence."""


@dataclass(frozen=True)
class Uptake:
    """What one tracer does in normal tissue.

    Args:
        tracer: its name.
        aliases: other names, for those who ask for it.
        nuclide: such as "F-18".
        dose_mbq: usually injected.
        uptake_minutes: from injection to scan, usually.
        sources: of the SUVs.
        tissues: tissue -> mean of the patients' mean SUVs, and their standard deviation.
    """

    tracer: str
    aliases: tuple[str, ...]
    nuclide: str
    dose_mbq: float
    uptake_minutes: float
    sources: tuple[str, ...]
    tissues: Mapping[str, tuple[float, float]]

    def mean_sd(self, tissue: str) -> tuple[float, float]:
        """Return mean and standard deviation for any tissue of the body, its own or of what stands for it."""
        while tissue not in self.tissues:
            instead = TISSUES[tissue]
            if instead is None:
                return 0.0, 0.0
            tissue = instead
        return self.tissues[tissue]

    def draw(self, random: np.random.Generator) -> dict[str, float]:
        """Return one patient's SUV of every tissue: log-normal, within two standard deviations."""
        levels = {}
        for tissue in TISSUES:
            mean, sd = self.mean_sd(tissue)
            deviate = float(np.clip(random.standard_normal(), -2, 2))
            if mean == 0:
                levels[tissue] = 0.0
                continue
            spread = np.sqrt(np.log(1 + (sd / mean) ** 2))
            levels[tissue] = float(
                np.clip(mean * np.exp(spread * deviate - spread**2 / 2), max(mean - 2 * sd, 0), mean + 2 * sd)
            )
        return levels


def uptake_of(tracer: str, table: Path | None = None) -> Uptake:
    """Return a tracer's uptake table.

    Args:
        tracer: a name or alias, in any case.
        table: a file with further tables, which go before SegPET's own.

    Raises:
        UptakeError: no such tracer, or a table that cannot be used.
    """
    known = [*(read_uptake(table) if table else ()), *read_uptake(_TABLE)]
    for one in known:
        if tracer.strip().lower() in {name.lower() for name in (one.tracer, *one.aliases)}:
            return one
    meant = tracer_named(tracer)
    for one in known:
        if meant is not None and meant.name == one.tracer:
            return one
    names = ", ".join(dict.fromkeys(one.tracer for one in known))
    raise UptakeError(
        f"There is no uptake table for the tracer '{tracer[:64]}': use one of {names}, or add a table."
    )


@cache
def read_uptake(path: Path) -> tuple[Uptake, ...]:
    """Return the tables of a file (TOML, as `data/phantom_uptake.toml` explains).

    Raises:
        UptakeError: no TOML, or a field or tissue that is missing, unknown or no number.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = str(error.strerror).lower()
        elif isinstance(error, UnicodeDecodeError):
            why = "it is no text in UTF-8"
        raise UptakeError(f"{path} cannot be used as uptake tables: {why}.") from error
    if not tables:
        raise UptakeError(f"{path.name} holds no uptake tables: each needs a table named as its tracer.")
    return tuple(_uptake(name, entry, path.name) for name, entry in tables.items())


def _uptake(name: str, entry: Any, file: str) -> Uptake:
    wrong = f"{file}: the uptake table {name} "
    if not isinstance(entry, dict) or set(entry) != set(_FIELDS):
        raise UptakeError(f"{wrong}must have the fields {', '.join(_FIELDS)}, and no others.")
    tissues = entry["tissues"]
    if not isinstance(tissues, dict) or not tissues.keys() >= set(_REQUIRED):
        raise UptakeError(f"{wrong}must say the uptake of {', '.join(_REQUIRED)} at least.")
    unknown = [tissue for tissue in tissues if tissue not in TISSUES]
    if unknown:
        raise UptakeError(f"{wrong}names '{unknown[0]}'; the body's tissues are {', '.join(TISSUES)}.")
    for tissue, pair in tissues.items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(_is_number(one, 0, 500) for one in pair)):
            raise UptakeError(f"{wrong}must give {tissue} two numbers from 0 to 500: mean SUV and its SD.")
    if not (_is_number(entry["dose_mbq"], 1, 5000) and _is_number(entry["uptake_minutes"], 0, 1000)):
        raise UptakeError(f"{wrong}must give dose_mbq, 1 to 5000, and uptake_minutes, 0 to 1000.")
    if entry["nuclide"] not in HALF_LIVES:
        raise UptakeError(f"{wrong}must name a nuclide: one of {', '.join(HALF_LIVES)}.")
    lists = entry["aliases"], entry["sources"]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise UptakeError(f"{wrong}must give aliases and sources as lists of texts.")
    return Uptake(
        tracer=name,
        aliases=tuple(entry["aliases"]),
        nuclide=entry["nuclide"],
        dose_mbq=float(entry["dose_mbq"]),
        uptake_minutes=float(entry["uptake_minutes"]),
        sources=tuple(entry["sources"]),
        tissues={tissue: (float(mean), float(sd)) for tissue, (mean, sd) in tissues.items()},
    )


def _is_number(value: Any, lowest: float, highest: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= highest
