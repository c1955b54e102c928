"""Small DICOM PET series for tests, with whatever should be wrong with them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

UID_PREFIX = "1.2.826.0.1.3680043.8.498."
OF_SINGLE_FRAMES = (
    "Units CorrectedImage DecayCorrection SeriesType PixelSpacing SliceThickness RescaleSlope "
    "RescaleIntercept ImageOrientationPatient ImagePositionPatient SeriesTime AcquisitionTime"
)
PATIENT = ("Meier^Anna", "SECRET-4711")


def write_series(
    folder: Path,
    stored: np.ndarray,
    *,
    spacing: Sequence[float] = (4.0, 5.0, 3.0),
    origin: Sequence[float] = (-10.0, -20.0, -30.0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    slopes: Sequence[float] | None = None,
    edit: Callable[[int, FileDataset], None] | None = None,
) -> list[Path]:
    """Write a PET series, units GML.

    Args:
        folder: made where absent.
        stored: int16 [column, row, slice]; slices lie along row x column.
        spacing: mm between columns, rows and slices.
        origin: LPS mm of the first slice's first pixel.
        orientation: along a row, down a column.
        slopes: one a slice.
        edit: called with each slice's number and dataset before it is written.

    Returns:
        The files, in the order of `stored`. Their names say nothing of that order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = (generate_uid(UID_PREFIX) for _ in range(3))
    normal = np.cross(orientation[:3], orientation[3:])
    paths = []
    for k in range(stored.shape[2]):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(UID_PREFIX)
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID = meta.MediaStorageSOPClassUID
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.PatientName, dataset.PatientID = PATIENT
        dataset.Modality = "PT"
        dataset.SeriesType = ["WHOLE BODY", "IMAGE"]
        dataset.Units = "GML"
        dataset.Rows, dataset.Columns = stored.shape[1], stored.shape[0]
        dataset.PixelSpacing = [spacing[1], spacing[0]]
        dataset.SliceThickness = spacing[2]
        dataset.ImageOrientationPatient = [f"{value:.10g}"[:16] for value in orientation]
        position = np.array(origin) + k * spacing[2] * normal
        dataset.ImagePositionPatient = [f"{value:.10g}"[:16] for value in position]
        dataset.RescaleSlope = 1 if slopes is None else slopes[k]
        dataset.RescaleIntercept = 0
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 1
        dataset.PixelData = np.ascontiguousarray(stored[:, :, k].T, dtype="<i2").tobytes()
        if edit is not None:
            edit(k, dataset)
        paths.append(folder / str(dataset.SOPInstanceUID))
        pydicom.dcmwrite(paths[-1], dataset)
    return paths


def scan_header(**changes: object) -> Callable[[int, FileDataset], None]:
    """Return an edit for `write_series`: a header from which all SUVs follow, with changes (None deletes).

    370 MBq of F-18 FDG at 8:00, a scan at 9:00; 70 kg, 1.75 m, male.
    """
    values: dict[str, object] = {
        "Units": "BQML",
        "CorrectedImage": ["NORM", "ATTN", "SCAT", "DECY"],
        "DecayCorrection": "START",
        "SeriesDate": "20240301",
        "SeriesTime": "090000",
        "AcquisitionDate": "20240301",
        "AcquisitionTime": "090000",
        "PatientWeight": 70,
        "PatientSize": 1.75,
        "PatientSex": "M",
    }
    injection: dict[str, object] = {
        "Radiopharmaceutical": "FDG",
        "RadiopharmaceuticalStartTime": "080000",
        "RadionuclideTotalDose": 370e6,
        "RadionuclideHalfLife": 6586.2,
    }
    of_injection = (*injection, "RadiopharmaceuticalStartDateTime")
    injection.update({name: value for name, value in changes.items() if name in of_injection})
    values.update({name: value for name, value in changes.items() if name not in of_injection})

    def edit(k: int, dataset: FileDataset) -> None:
        for name, value in values.items():
            set_or_delete(dataset, name, value)
        item = pydicom.Dataset()
        for name, value in injection.items():
            set_or_delete(item, name, value)
        nuclide = pydicom.Dataset()
        nuclide.CodeValue, nuclide.CodingSchemeDesignator = "C-111A1", "SRT"
        nuclide.CodeMeaning = "^18^Fluorine"
        item.RadionuclideCodeSequence = [nuclide]
        dataset.RadiopharmaceuticalInformationSequence = [item]

    return edit


def set_or_delete(dataset: pydicom.Dataset, name: str, value: object) -> None:
    """Set an element; None deletes it where it is."""
    if value is not None:
        setattr(dataset, name, value)
    elif name in dataset:
        delattr(dataset, name)


def in_study(series: str, study: str = UID_PREFIX + "1", frame: str = UID_PREFIX + "2", number: int = 1):
    """Return an edit that makes the images those of a series, a study and a frame of reference."""

    def edit(k: int, dataset: FileDataset) -> None:
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = UID_PREFIX + series, study
        dataset.FrameOfReferenceUID, dataset.SeriesNumber = frame, number

    return edit


def both(*edits: Callable[[int, FileDataset], None]) -> Callable[[int, FileDataset], None]:
    """Return an edit that does several, one after the other."""

    def edit(k: int, dataset: FileDataset) -> None:
        for one in edits:
            one(k, dataset)

    return edit


def write_enhanced(
    path: Path,
    stored: np.ndarray,
    edit: Callable[[int, FileDataset], None] | None = None,
    frames: Callable[[int, pydicom.Dataset], None] | None = None,
) -> Path:
    """Write one enhanced PET image in Bq/ml, slope 0.5, spacing 4 x 5 x 3 mm.

    Args:
        path: the file.
        stored: uint16 [column, row, slice] or [column, row, slice, time]; the last time comes first.
        edit: called with 0 and the data set.
        frames: called with each frame's number and functional groups.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = stored if stored.ndim == 4 else stored[..., np.newaxis]
    first = write_series(path.parent, stored[:, :, :1, 0].astype(np.int16), edit=scan_header())[0]
    dataset = pydicom.dcmread(first)
    first.unlink()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedPETImageStorage
    for name in OF_SINGLE_FRAMES.split():
        delattr(dataset, name)
    dataset.AttenuationCorrected = dataset.DecayCorrected = "YES"
    dataset.DecayCorrectionDateTime = "20240301090000"
    dataset.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20240301080000"
    measures, plane, transform = (pydicom.Dataset() for _ in range(3))
    measures.PixelSpacing, measures.SliceThickness = [5, 4], 3
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = 0.5, 0, "BQML"
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.PixelValueTransformationSequence = [transform]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups, pixels = [], b""
    for k in range(stored.shape[2]):
        for t in reversed(range(stored.shape[3])):
            group, place, content = (pydicom.Dataset() for _ in range(3))
            place.ImagePositionPatient = [-10, -20, -30 + 3 * k]
            content.FrameAcquisitionDateTime = f"2024030109{t:02}00"
            content.TemporalPositionIndex = t + 1
            group.PlanePositionSequence, group.FrameContentSequence = [place], [content]
            if frames is not None:
                frames(len(groups), group)
            groups.append(group)
            pixels += np.ascontiguousarray(stored[:, :, k, t].T, dtype="<u2").tobytes()
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames, dataset.PixelRepresentation = len(groups), 0
    dataset.PixelData = pixels
    if edit is not None:
        edit(0, dataset)
    pydicom.dcmwrite(path, dataset)
    return path


def tags(**values: object) -> Callable[[int, FileDataset], None]:
    """Return an edit that sets elements, or deletes those that are None."""

    def edit(k: int, dataset: FileDataset) -> None:
        for name, value in values.items():
            set_or_delete(dataset, name, value)

    return edit


def write_frames(folder, stored, *edits, kind="DYNAMIC"):
    """Write a series of three frames, 1, 2 and 3 times the values, in no order of files."""
    for frame in (2, 0, 1):
        write_series(
            folder,
            (stored // 3 * (frame + 1)).astype(np.int16),
            edit=both(
                scan_header(), in_study("5"), tags(SeriesType=[kind, "IMAGE"]), *(e(frame) for e in edits)
            ),
        )


def write_ct(
    folder, function, *edits, spacing=(2, 2, 2), shape=(40, 40, 40), origin=(-30, -30, -50), turn=None
):
    """Write a CT whose HU are a function of LPS mm."""
    turn = np.eye(3) if turn is None else turn
    index = np.indices(shape).reshape(3, -1)
    place = turn @ (index * np.array(spacing)[:, np.newaxis]) + np.array(origin)[:, np.newaxis]
    values = np.rint(function(*place)).reshape(shape).astype(np.int16) + 1024
    ct = tags(RescaleIntercept=-1024, Units=None, Modality="CT")

    def kind(k, dataset):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage

    orientation = turn[:, :2].T.ravel()
    write_series(
        folder, values, spacing=spacing, origin=origin, orientation=orientation, edit=both(ct, kind, *edits)
    )
