"""A small DICOM SEG for tests."""

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, generate_uid


def segmentation(folder, liver=(2, 3, 4, 5), kidney=(6, 7, 8)):
    """A DICOM SEG with a liver, named by its label, and a kidney, by codes; its labels and affine.

    liver, kidney: their planes, of 12; frames without a voxel are left out.
    """
    frame, study, series = (generate_uid(entropy_srcs=[name]) for name in ("frame", "study", "series"))
    slices = []
    for k in range(12):
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid(entropy_srcs=[str(k)])
        one.FrameOfReferenceUID, one.StudyInstanceUID, one.SeriesInstanceUID = frame, study, series
        one.PatientName = one.PatientID = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = ""
        one.StudyID = one.StudyDate = one.StudyTime = one.ReferringPhysicianName = ""
        one.Modality, one.Rows, one.Columns = "CT", 30, 24
        one.PixelSpacing, one.SliceThickness = [2.0, 3.0], 4.0
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.ImagePositionPatient = [-70.0, -50.0, 8.0 + 4.0 * k]
        slices.append(one)
    labels = np.zeros((12, 30, 24), np.uint8)  # slice, row, column
    labels[list(liver), 5:20, 3:9], labels[list(kidney), 8:12, 12:20] = 1, 2
    left = Code("7771000", "SCT", "Left")
    kinds = [("Liver", codes.SCT.Liver, None), ("Organ 2", codes.SCT.Kidney, left)]
    described = [
        hd.seg.SegmentDescription(
            number,
            label,
            codes.SCT.Organ,
            kind,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, (label, kind, _) in enumerate(kinds, start=1)
    ]
    modifier = hd.sr.CodedConcept(*kinds[1][2][:3])
    described[1].SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    made = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=generate_uid(entropy_srcs=["seg"]),
        series_number=2,
        sop_instance_uid=generate_uid(entropy_srcs=["seg 1"]),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(folder / "seg.dcm")
    affine = np.array([[-3.0, 0, 0, 70], [0, -2, 0, 50], [0, 0, 4, 8], [0, 0, 0, 1]])
    return labels.transpose(2, 1, 0), affine
