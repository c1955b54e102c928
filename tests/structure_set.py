"""RT Structure Sets for tests."""

import pydicom
from dicom_series import UID_PREFIX
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from lib.pet.contours import RT_STRUCTURE_SET


def write(path, regions, kind="CLOSED_PLANAR", patient="", frame=None):
    """Write an RT Structure Set: a list of (name, contours), of a PatientID and a frame of reference."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RT_STRUCTURE_SET, generate_uid(UID_PREFIX)
    dataset = pydicom.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RT_STRUCTURE_SET, meta.MediaStorageSOPInstanceUID
    dataset.PatientID = patient
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(regions, start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        if frame:
            roi.ReferencedFrameOfReferenceUID = frame
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points) // 3
            contour.ContourData = [float(value) for value in points]
            drawn.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(drawn)
    dataset.save_as(path)
    return path
