"""How stored PET values become SUV: the Real World Value Mapping (PS3.3 A.46) that a report refers to."""

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RealWorldValueMappingStorage

from lib.export import codes as ours
from lib.export.documents import MANUFACTURER, UTF_8, Annotation

SERIES_NUMBER = 9003


def make_value_map(annotation: Annotation) -> Dataset | None:
    """Return the mapping of each PET instance's stored values to SUVbw; None without SUV.

    It depends on the PET series alone: all versions of a label share one instance.
    """
    factor = annotation.suv_factor
    if factor is None or not all("RescaleSlope" in source for source in annotation.sources):
        return None
    first = annotation.sources[0]
    dataset = SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        series_instance_uid=annotation.uid("RWVM series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=annotation.uid("RWVM", f"{factor:.9g}"),
        sop_class_uid=RealWorldValueMappingStorage,
        instance_number=1,
        modality="RWV",
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=UTF_8,
    )
    dataset.copy_patient_and_study_information(first)
    dataset.Laterality = ""
    dataset.ContentLabel, dataset.ContentDescription = "SUVBW", "SUVbw of the PET"
    dataset.ContentCreatorName = ""
    dataset.ContentDate = first.get("SeriesDate") or dataset.InstanceCreationDate
    dataset.ContentTime = first.get("SeriesTime") or dataset.InstanceCreationTime
    dataset.ReferencedImageRealWorldValueMappingSequence = [
        _mapping(source, factor) for source in annotation.sources
    ]
    dataset.ReferencedSeriesSequence = [_series(annotation)]
    return dataset


def _mapping(source: Dataset, factor: float) -> Dataset:
    mapped, item = Dataset(), Dataset()
    signed = int(source.get("PixelRepresentation", 0)) == 1
    bits = int(source.get("BitsStored", 16))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    item.add_new(0x00409216, "SS" if signed else "US", low)
    item.add_new(0x00409211, "SS" if signed else "US", high)
    item.RealWorldValueSlope = float(source.RescaleSlope) * factor
    item.RealWorldValueIntercept = float(source.get("RescaleIntercept", 0)) * factor
    item.LUTExplanation, item.LUTLabel = "Standardized uptake value by body weight", "SUVBW"
    item.MeasurementUnitsCodeSequence = [_code(ours.SUVBW_UNIT)]
    quantity = Dataset()
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [_code(codes.SCT.Quantity)]
    quantity.ConceptCodeSequence = [_code(ours.SUVBW)]
    item.QuantityDefinitionSequence = [quantity]
    mapped.RealWorldValueMappingSequence = [item]
    mapped.ReferencedImageSequence = [_reference(source)]
    return mapped


def _series(annotation: Annotation) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = annotation.series
    series.ReferencedInstanceSequence = [_reference(source) for source in annotation.sources]
    return series


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return reference


def _code(code: ours.AnyCode) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
