"""Tracers: what a team needs to know of each, from one table that it can extend (`data/tracers.toml`)."""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from lib.pet.volume import Volume

Kind = Literal["suv", "share_of_max", "liver"]

_TABLE = Path(__file__).parent / "data" / "tracers.toml"


class TracerError(ValueError):
    """A table of tracers that cannot be used; the message is one sentence that says why."""


@dataclass(frozen=True)
class Threshold:
    """A threshold in use for the tumour volume.

    Args:
        kind: "suv": `value` is an SUV; "share_of_max": a share of the lesion's maximum; "liver": times
            (mean + sd) / mean of the liver it is an SUV.
        value: see `kind`.
        source: who uses it.
    """

    kind: Kind
    value: float
    source: str


@dataclass(frozen=True)
class Tracer:
    """A radiopharmaceutical.

    Args:
        name: short, such as "PSMA-11".
        full_name: in words.
        nuclides: what it is labelled with, such as "F-18".
        aliases: further names in reports and DICOM headers.
        codes: "SCHEME:VALUE" of DICOM PS3.16 CID 4021.
        window: upper end of the display in SUV; the lower one is 0.
        normal_uptake: names of the organs with normal uptake, for `OrganMap.mask`.
        thresholds: in use; none where none is established.
        sources: of `normal_uptake`.
    """

    name: str
    full_name: str
    nuclides: tuple[str, ...]
    aliases: tuple[str, ...]
    codes: tuple[str, ...]
    window: float
    normal_uptake: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    sources: tuple[str, ...]


def tracers() -> tuple[Tracer, ...]:
    """Return the tracers of the table that SegPET comes with.

    Raises:
        TracerError: as `read_tracers`.
    """
    return read_tracers(_TABLE)


@cache
def read_tracers(path: Path) -> tuple[Tracer, ...]:
    """Return the tracers of a table (TOML, as `data/tracers.toml` explains).

    Raises:
        TracerError: no TOML, a field that is missing, unknown or of another type, or a name twice.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("tracer")
    except (OSError, ValueError, RecursionError) as error:
        raise TracerError(f"{path.name} is no table of tracers: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise TracerError(f"{path.name} holds no tracers: each needs a table [[tracer]].")
    read = tuple(_tracer(entry, path.name) for entry in entries)
    names = [tracer.name for tracer in read]
    if len(set(names)) < len(names):
        raise TracerError(f"{path.name} holds a tracer twice: every name must be another.")
    return read


def tracer_named(text: str) -> Tracer | None:
    """Return the tracer that a name, a text of a DICOM header or a code's value means; None where unknown.

    "18F-FDG", "FDG -- fluorodeoxyglucose" and "35321007" are FDG. Where the names of several are in the text,
    the longest counts; "PSMA" alone, which may be any of its ligands, is none, nor "FDG-labelled leukocytes".
    """
    if not text.strip():
        return None
    for tracer in tracers():
        if text.strip() in {code.partition(":")[2] for code in tracer.codes}:
            return tracer
    words = f" {' '.join(_words(text))} "
    found = [
        (len(name), tracer)
        for tracer in tracers()
        for name in (" ".join(_words(alias)) for alias in (tracer.name, *tracer.aliases))
        if re.search(f" {name} (?!label)", words)
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def name_of_tracer(text: str) -> str:
    """Return the table's name of the tracer that a text means; the text itself where it is not known."""
    known = tracer_named(text)
    return known.name if known else text


def tracer_of(volume: Volume) -> Tracer | None:
    """Return the tracer that an image's header or sidecar means; None where that is not known."""
    return tracer_named(volume.preflight.tracer) if volume.preflight else None


def _words(text: str) -> list[str]:
    """Return runs of letters, without accents, and numbers: "18F-PSMA1007" as 18, f, psma, 1007."""
    plain = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text.lower()))
    return re.findall(r"[^\W\d_]+|\d+", plain)


def _tracer(entry: Any, file: str) -> Tracer:
    who = f"tracer {entry['name']}" if isinstance(entry, dict) and "name" in entry else "a tracer"
    wrong = f"{file}: {who} "
    if not isinstance(entry, dict) or entry.keys() != Tracer.__dataclass_fields__.keys():
        fields = ", ".join(Tracer.__dataclass_fields__)
        raise TracerError(f"{wrong}must have the fields {fields}, and no others.")
    lists = {key: entry[key] for key in ("nuclides", "aliases", "codes", "normal_uptake", "sources")}
    if not (
        all(isinstance(entry[key], str) and entry[key] for key in ("name", "full_name"))
        and all(isinstance(value, list) for value in lists.values())
        and all(isinstance(one, str) and one for value in lists.values() for one in value)
    ):
        raise TracerError(f"{wrong}must have text for names, and lists of text for {', '.join(lists)}.")
    if not _is_positive(entry["window"]):
        raise TracerError(f"{wrong}needs a display window above 0.")
    thresholds = entry["thresholds"]
    if not isinstance(thresholds, list) or not all(map(_is_threshold, thresholds)):
        raise TracerError(
            f"{wrong}needs thresholds of a kind ({', '.join(get_args(Kind))}), a value above 0 and a source."
        )
    return Tracer(
        name=entry["name"],
        full_name=entry["full_name"],
        window=float(entry["window"]),
        thresholds=tuple(Threshold(one["kind"], float(one["value"]), one["source"]) for one in thresholds),
        **{key: tuple(value) for key, value in lists.items()},
    )


def _is_threshold(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == Threshold.__dataclass_fields__.keys()
        and entry["kind"] in get_args(Kind)
        and _is_positive(entry["value"])
        and isinstance(entry["source"], str)
        and bool(entry["source"])
    )


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
