"""Whose outlines and organ maps are: patient and frame of reference of RT Structure Set, SEG and study."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from lib.pet.choice import choose
from lib.pet.dicom_files import tags
from lib.pet.series import find_series
from lib.pet.volume import VolumeError

_REFERENCED, _REGIONS = "ReferencedFrameOfReferenceSequence", "StructureSetROISequence"
_TELLING = tags(f"SpecificCharacterSet PatientID FrameOfReferenceUID {_REFERENCED} {_REGIONS}")
_FRAME = "{} has another frame of reference than the study: look whether it lies where it should."
_PATIENT = "{} has another PatientID than the study: make sure that it is of the same patient."


def doubts_about(drawn: Path, study: Path) -> tuple[str, ...]:
    """Return what makes one doubt that outlines are of a study, in sentences; none where nothing can tell.

    Either alone is no proof: a registered CT has another frame of reference, and an ID may be a pseudonym.

    Args:
        drawn: a DICOM file with an RT Structure Set or a SEG.
        study: the study's image; only a DICOM folder tells whose it is.

    Raises:
        VolumeError: both patient and frame of reference are others, or a file cannot be read. No message
            holds an ID or a UID.
    """
    return doubts_about_header(_header(drawn), drawn.name, study) if study.is_dir() else ()


def doubts_about_header(header: Dataset, name: str, study: Path) -> tuple[str, ...]:
    """Return what makes one doubt that an RT Structure Set or SEG is of a study; see `doubts_about`."""
    if not study.is_dir():
        return ()
    series = choose(find_series(study)).series
    patient, frames = _owner(header, name)
    other_patient = bool(patient and series.patient and patient != series.patient)
    other_frame = bool(frames and series.frame_of_reference and series.frame_of_reference not in frames)
    if other_patient and other_frame:
        raise VolumeError(
            f"{name} is of another patient: neither its PatientID nor its frame of reference is the study's."
        )
    return (_PATIENT.format(name),) * other_patient + (_FRAME.format(name),) * other_frame


def _header(drawn: Path) -> Dataset:
    try:
        return pydicom.dcmread(drawn, specific_tags=list(_TELLING))
    except Exception as error:  # pydicom raises many things for what it cannot read
        raise VolumeError(f"{drawn.name} is damaged: it cannot be read.") from error


def _owner(header: Dataset, name: str) -> tuple[str, set[str]]:
    """Return the PatientID and the frames of reference of a file's regions, as far as it tells them."""
    try:
        uids = [header.get("FrameOfReferenceUID")]
        uids += [one.get("FrameOfReferenceUID") for one in header.get(_REFERENCED, [])]
        uids += [one.get("ReferencedFrameOfReferenceUID") for one in header.get(_REGIONS, [])]
        frames = {str(uid) for uid in uids if uid}
        return str(header.get("PatientID") or "").strip(), frames
    except Exception as error:  # pydicom converts lazily
        raise VolumeError(f"{name} is damaged: it cannot be read.") from error
