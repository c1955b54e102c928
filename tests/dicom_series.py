"""Small DICOM PET series for tests, with whatever should be wrong with them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

UID_PREFIX = "1.2.826.0.1.3680043.8.498."
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
