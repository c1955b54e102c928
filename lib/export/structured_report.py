"""The numbers of a label as a DICOM Structured Report: Imaging Measurement Report (PS3.16 TID 1500)."""

from collections.abc import Mapping
from typing import Any

from highdicom.seg import Segmentation
from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RealWorldValueMap,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from lib.export import codes as ours
from lib.export.documents import MANUFACTURER, Annotation, ExportedObject
from lib.export.pet_series import uid_from

SERIES_NUMBER = 9002
#: Derivations of SUV in a lesion; the peak is a quantity of its own.
_DERIVED = {"max": codes.SCT.Maximum, "mean": codes.SCT.Mean, "sd": codes.SCT.StandardDeviation}


def make_report(
    annotation: Annotation,
    segmentation: Segmentation,
    value_map: Dataset | None,
    predecessor: Dataset | None = None,
) -> Comprehensive3DSR:
    """Return the SR of a label.

    One group (TID 1411) an object refers to its segment, and has its numbers where it is in the lesion table;
    the patient's totals are a group without a region (TID 1501), which is all there is of a negative study.
    """
    measured = {one["id"]: one for one in annotation.table["lesions"]}
    mapped = RealWorldValueMap(value_map.SOPInstanceUID) if value_map is not None else None
    groups = [
        _group(one, number, segmentation, mapped, measured.get(one.id, {}), annotation)
        for number, one in enumerate(annotation.objects, start=1)
    ]
    content = MeasurementReport(
        observation_context=_observers(annotation),
        procedure_reported=codes.SCT.PositronEmissionTomographyOfWholeBody,
        imaging_measurements=[*groups, _totals(annotation)],
        title=codes.DCM.ImagingMeasurementReport,
        # highdicom's image library takes the plane from the top level, where a multi-frame image has none
        referenced_images=None if annotation.multi_frame else [*annotation.sources],
    )
    if annotation.impression:
        content[0].ContentSequence.append(_impression(annotation.impression))
    report = Comprehensive3DSR(
        evidence=[*annotation.sources, segmentation, *([value_map] if value_map is not None else [])],
        content=content[0],
        series_instance_uid=annotation.uid("SR series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=annotation.instance_uid("SR"),
        instance_number=annotation.version,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=annotation.final,
        previous_versions=[predecessor] if predecessor is not None else None,
    )
    report.SeriesDescription = "SegPET measurements"
    report.ManufacturerModelName = MANUFACTURER
    report.SoftwareVersions = annotation.software
    return report


def _observers(annotation: Annotation) -> ObservationContext:
    """Return who made the measurements: the software, for the person who saved the label."""
    device = ObserverContext(
        codes.DCM.Device,
        DeviceObserverIdentifyingAttributes(
            uid_from("segpet", "device"),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=f"{MANUFACTURER} {annotation.software}",
        ),
    )
    person = None
    if annotation.author:
        person = ObserverContext(
            codes.DCM.Person, PersonObserverIdentifyingAttributes(name=annotation.person_name)
        )
    return ObservationContext(observer_person_context=person, observer_device_context=device)


def _group(
    one: ExportedObject,
    number: int,
    segmentation: Segmentation,
    mapped: RealWorldValueMap | None,
    numbers: Mapping[str, Any],
    annotation: Annotation,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    meaning = ours.meaning_of(one.label)
    site = ours.site_of_organ(numbers.get("organ"))
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=one.uid, identifier=one.tracking_id),
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(annotation.series),
        ),
        referenced_real_world_value_map=mapped,
        finding_category=meaning.category,
        finding_type=meaning.type,
        finding_sites=[FindingSite(site[0], laterality=site[1])] if site else None,
        measurements=_measurements(numbers, annotation) or None,
    )


def _measurements(numbers: Mapping[str, Any], annotation: Annotation) -> list[Measurement]:
    is_suv = annotation.volume.unit == "SUVbw"
    prefix, unit = ("suv_", ours.SUVBW_UNIT) if is_suv else ("", ours.BECQUEREL_PER_ML)
    name = ours.SUVBW if is_suv else ours.ACTIVITY
    made = []
    if annotation.volume.unit != "unknown":
        made = [
            _measurement(name, numbers.get(prefix + key), unit, derivation)
            for key, derivation in _DERIVED.items()
        ]
        made.append(_measurement(codes.DCM.PeakValueWithinROI, numbers.get(f"{prefix}peak"), unit))
    made += [
        _measurement(codes.SCT.Volume, numbers.get("volume_ml"), ours.MILLILITRE),
        _measurement(codes.DCM.MetabolicVolume, numbers.get("mtv_ml"), ours.MILLILITRE),
        _measurement(codes.DCM.TotalLesionGlycolysis, numbers.get("tlg_g"), ours.GRAM),
        _measurement(ours.FERET, numbers.get("feret_mm"), ours.MILLIMETRE),
    ]
    return [one for one in made if one is not None]


def _totals(annotation: Annotation) -> MeasurementsAndQualitativeEvaluations:
    patient = annotation.table["patient"]
    total = codes.SCT.Total
    made = [
        _measurement(codes.SCT.NumberOfLesions, patient["count"], ours.NO_UNIT),
        _measurement(codes.DCM.MetabolicVolume, patient.get("tmtv_ml"), ours.MILLILITRE, total),
        _measurement(codes.DCM.TotalLesionGlycolysis, patient.get("total_tlg_g"), ours.GRAM, total),
        _measurement(ours.DMAX, patient.get("dmax_mm"), ours.MILLIMETRE),
    ]
    uid = annotation.uid("totals")
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier="patient totals"),
        measurements=[one for one in made if one is not None],
    )


def _measurement(
    name: CodedConcept, value: float | None, unit: CodedConcept, derivation: CodedConcept | None = None
) -> Measurement | None:
    if value is None:
        return None
    return Measurement(name=name, value=float(value), unit=unit, derivation=derivation)


def _impression(text: str) -> ContainerContentItem:
    """Return the section "Impression" with its text, as reports have it (TID 2000)."""
    section = ContainerContentItem(
        name=codes.DCM.Impressions, relationship_type=RelationshipTypeValues.CONTAINS
    )
    written = TextContentItem(
        name=codes.DCM.Impression, value=text, relationship_type=RelationshipTypeValues.CONTAINS
    )
    section.ContentSequence = ContentSequence([written])
    return section
