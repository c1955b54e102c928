"""What DICOMweb tells of: studies, series and their instances, in the DICOM JSON model (PS3.18 F)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

Json = dict[str, Any]


class Series(ABC):
    """A series whose instances are served.

    Args:
        uid: SeriesInstanceUID.
        attributes: what a query for series tells of it, those of its study included.
        instances: SOPInstanceUIDs in order.
    """

    def __init__(self, uid: str, attributes: Json, instances: Sequence[str]) -> None:
        self.uid, self.attributes = uid, attributes
        self.instances = tuple(instances)

    @abstractmethod
    def listed(self, instance: str) -> Json:
        """Return what a query tells of an instance."""

    @abstractmethod
    def metadata(self, instances: Sequence[str]) -> list[Json]:
        """Return all attributes of instances, but for bulk data; VolumeError where they cannot be read."""

    @abstractmethod
    def frame_count(self, instance: str) -> int:
        """Return how many frames an instance holds."""

    @abstractmethod
    def frames(self, instance: str, numbers: Sequence[int]) -> list[bytes]:
        """Return frames' pixels, uncompressed, little-endian; numbers are 1-based. VolumeError as above."""

    @abstractmethod
    def file(self, instance: str) -> bytes:
        """Return an instance as a DICOM file, uncompressed. VolumeError as above."""


class Study:
    """A study whose series are served.

    Args:
        uid: StudyInstanceUID.
        attributes: what a query for studies tells of it.
        load: returns its series; called when they are first asked for.
    """

    def __init__(self, uid: str, attributes: Json, load: Callable[[], Sequence[Series]]) -> None:
        self.uid, self.attributes, self._load = uid, attributes, load

    @cached_property
    def series(self) -> Mapping[str, Series]:
        """Its series by UID. VolumeError where they cannot be read."""
        return {one.uid: one for one in self._load()}


def as_json(dataset: Dataset) -> Json:
    """Return a data set in the DICOM JSON model; elements that break the standard are left out.

    Decimal strings of more than 16 characters, as many scanners write their rescale slope, break it too, but
    no viewer can do without them.
    """
    found = dataset.to_json_dict(suppress_invalid_tags=True)
    for tag in dataset.keys() - {Tag(key) for key in found}:
        element = dataset[tag]
        if element.VR == "DS" and (numbers := _finite(element.value)):
            found[f"{tag:08X}"] = {"vr": "DS", "Value": numbers}
    return {tag: element for tag, element in found.items() if element}


def _finite(values: Any) -> list[float]:
    """Return decimal strings, one or several, as numbers; nothing where one of them is none."""
    try:
        numbers = [float(value) for value in (values if isinstance(values, MultiValue) else [values])]
    except (TypeError, ValueError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def served(attributes: Json) -> Json:
    """Return attributes with what is true of everything served: text in UTF-8, pixels uncompressed."""
    return {
        **attributes,
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00083002": {"vr": "UI", "Value": [str(ExplicitVRLittleEndian)]},
    }


def counted(attributes: Json, modalities: Sequence[str], series: int, instances: int | None) -> Json:
    """Return a study's attributes with what is in it; the number of instances may be unknown."""
    found = {
        **attributes,
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": {"vr": "CS", "Value": list(modalities)},
        "00201206": {"vr": "IS", "Value": [series]},
    }
    return found if instances is None else {**found, "00201208": {"vr": "IS", "Value": [instances]}}
