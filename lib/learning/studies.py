"""A team's labelled studies as training data: found on disk, read one at a time, when they are needed."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from lib.learning.cases import (
    Case,
    CaseError,
    CaseFiles,
    NoCaseError,
    find_cases,
    images_of,
    label_of,
    read_case,
)
from lib.pet import VolumeError
from lib.pet.choice import choose
from lib.pet.components import Instances
from lib.pet.series import PETSeries, find_series
from lib.pet.sidecar import read_sidecar, sidecar_of, with_sidecar
from lib.pet.tracers import name_of_tracer
from lib.store import LabelVersion, LabelVersions, StoreError
from lib.store.records import file_name

#: Labels that somebody vouches for; all others may be wrong here and there.
TRUSTED = frozenset({"final", "reviewed"})


class Source(Protocol):
    """Something to learn from: a study with its outlined objects."""

    @property
    def name(self) -> str:
        """Different for every source of a training."""

    @property
    def trusted(self) -> bool:
        """Whether its label is taken for right."""

    def stamp(self) -> str:
        """Return what changes when image or label change, without reading them."""

    def read(self) -> Case:
        """Read image and objects; CaseError or VolumeError where that fails."""


@dataclass(frozen=True)
class TrainingStudy:
    """A labelled study of a team.

    Args:
        name: the study's id.
        image: a file, or a folder with a DICOM series.
        mask: a class map or an instance map.
        instances: what one object of the mask is.
        status: of the label: draft, submitted, reviewed, final; `original` is a model's own.
        unit: what the values are, where the file does not say it.
    """

    name: str
    image: Path
    mask: Path
    instances: Instances = "auto"
    status: str = "final"
    unit: str | None = None

    @property
    def trusted(self) -> bool:
        """Whether somebody vouches for the label."""
        return self.status in TRUSTED

    def stamp(self) -> str:
        """Return what changes when image or label change, without reading them."""
        series = sorted(self.image.rglob("*")) if self.image.is_dir() else with_sidecar(self.image)
        files = [self.mask, *series]
        told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr((told, self.instances, self.unit)).encode()).hexdigest()

    def read(self) -> Case:
        """Read image and objects; CaseError or VolumeError where that fails."""
        case = read_case(CaseFiles(self.name, self.image, self.mask), instances=self.instances)
        if case.volume.unit == "unknown" and self.unit:
            return replace(case, volume=replace(case.volume, unit=self.unit))
        return case

    def patient(self) -> str:
        """Return whose study it is: a DICOM header's PatientID, a BIDS name's subject, else the study's name.

        Studies of one patient must not be trained on and measured with; where nothing tells that two are of
        one patient, they count as two.
        """
        if self._series and self._series.patient:
            return self._series.patient
        subject, _, rest = self.name.partition("_")
        return subject if subject.startswith("sub-") and rest else self.name

    def tracer(self) -> str | None:
        """Return the tracer that a DICOM header or a file's sidecar names; None where none does."""
        if self._series:
            text = self._series.tracer
        else:
            try:
                text = str(read_sidecar(sidecar_of(self.image)).get("TracerName", ""))
            except (VolumeError, OSError):
                return None
        return name_of_tracer(text) or None

    @cached_property
    def _series(self) -> PETSeries | None:
        try:
            return choose(find_series(self.image)).series if self.image.is_dir() else None
        except VolumeError:
            return None


def fault_of(source: Source) -> str:
    """Return why nothing can be learnt from a study or measured on it, a sentence; "" where something can."""
    try:
        return "" if source.read().objects else "Nothing is outlined in it."
    except (CaseError, VolumeError) as error:
        return str(error)
    except OSError as error:
        return f"It cannot be read ({error.strerror or 'damaged'})."


def labelled_studies(
    folder: Path, labels: Path | None, unit: str | None = None, others: Iterable[str] = ()
) -> list[TrainingStudy]:
    """Find the labelled studies of a folder, by name: MONAI Label's, or cases as `find_cases` knows them.

    The final label counts, with the objects that were told apart when it was saved; without one, the newest
    version of the furthest status among `others`.

    Args:
        folder: with the studies, and `labels/final/` in it.
        labels: the folder of label versions (see `lib.store.LabelVersions`); None: there are none.
        unit: what the values are of files that do not say it.
        others: statuses beside final that may be learnt from: draft, submitted, reviewed, original.

    Raises:
        CaseError: no such folder, or no labelled study in it; also as `find_cases`.
    """
    if not folder.is_dir():
        raise CaseError(f"There is no folder {folder}.")
    versions = LabelVersions(labels) if labels else None
    found = [
        study
        for name, image in images_of(folder)
        if (study := _labelled(folder, name, image, versions, frozenset(others), unit))
    ]
    if not found:
        try:
            found = [
                TrainingStudy(case.name, case.image, case.mask, unit=unit) for case in find_cases(folder)
            ]
        except NoCaseError as error:
            raise CaseError(
                f"No study of {folder} has a final label yet: save some labels first "
                "(the panel's Save, Slicer's Submit Label)."
            ) from error
    return sorted(found, key=lambda study: study.name)


def studies_of(folder: Path) -> list[tuple[str, Path, bool]]:
    """Return the studies of a folder in MONAI Label's layout: name, image, whether it has a final label."""
    return sorted(
        (name, image, label_of(folder, "final", name) is not None) for name, image in images_of(folder)
    )


def _labelled(
    folder: Path,
    name: str,
    image: Path,
    versions: LabelVersions | None,
    others: frozenset[str],
    unit: str | None,
) -> TrainingStudy | None:
    """Return a study with the label that counts, None where it has none that may be learnt from."""
    saved = _versions(versions, name)
    if (final := label_of(folder, "final", name)) is not None:
        version = next((one for one in reversed(saved) if one.status == "final"), None)
        if version and version.instances and version.mask.read_bytes() == final.read_bytes():
            return TrainingStudy(name, image, version.instances, "values", "final", unit)
        return TrainingStudy(name, image, final, "parts", "final", unit)
    for status in ("reviewed", "submitted", "draft", "original"):
        if status not in others:
            continue
        if version := next((one for one in reversed(saved) if one.status == status), None):
            if version.instances:
                return TrainingStudy(name, image, version.instances, "values", status, unit)
            return TrainingStudy(name, image, version.mask, "parts", status, unit)
        if (file := label_of(folder, status, name)) is not None:
            return TrainingStudy(name, image, file, "parts", status, unit)
    return None


def _versions(versions: LabelVersions | None, name: str) -> Sequence[LabelVersion]:
    if versions is None or not (versions.folder / file_name(name)).is_dir():
        return ()
    try:
        saved = versions.versions(name)
    except StoreError:
        return ()  # the label's own file is still there
    return [
        one if one.instances and one.instances.is_file() else replace(one, instances=None)
        for one in saved
        if one.mask.is_file()
    ]
