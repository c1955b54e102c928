"""NIfTI and NRRD studies as DICOM PET, made on the fly."""

from collections.abc import Callable, Sequence
from pathlib import Path

from apps.segpet.dicomweb.model import Json, Series, Study, as_json, counted, served
from lib.export.pet_series import SeriesUIDs, VolumeSeries, series_attributes, study_attributes
from lib.pet import Volume, VolumeError
from lib.pet.image_files import check_image_header


class GeneratedSeries(Series):
    """The one series of an image file: a slice along k is an instance.

    Args:
        name: of the study.
        uids: of study, series and instances.
        volume: returns the image, which others keep in memory.
    """

    def __init__(self, name: str, uids: SeriesUIDs, volume: Callable[[], Volume]) -> None:
        self._name, self._uids, self._volume = name, uids, volume
        source = self._source()
        count = source.volume.shape[2]
        attributes = as_json(study_attributes(name, uids.study)) | as_json(series_attributes(uids.series))
        attributes["00201209"] = {"vr": "IS", "Value": [count]}
        self._common = served(as_json(source.common))
        super().__init__(uids.series, served(attributes), [uids.instance(k) for k in range(count)])
        self._places = {uid: k for k, uid in enumerate(self.instances)}

    def listed(self, instance: str) -> Json:
        """Return what a query tells of an instance."""
        of_series = ("00080016", "00280010", "00280011", "00280100")  # SOP class, rows, columns, bits
        return {
            **self.attributes,
            **{tag: self._common[tag] for tag in of_series},
            "00080018": {"vr": "UI", "Value": [instance]},
            "00200013": {"vr": "IS", "Value": [self._places[instance] + 1]},
        }

    def metadata(self, instances: Sequence[str]) -> list[Json]:
        """Return all attributes but the pixels."""
        source = self._source()
        return [self._common | as_json(source.slice(self._places[one])[0]) for one in instances]

    def frame_count(self, instance: str) -> int:
        """Return 1."""
        return 1

    def frames(self, instance: str, numbers: Sequence[int]) -> list[bytes]:
        """Return the slice, as often as it is asked for."""
        pixels = self._source().slice(self._places[instance])[1]
        return [pixels for _ in numbers]

    def file(self, instance: str) -> bytes:
        """Return the slice as a DICOM file."""
        return self._source().file(self._places[instance])

    def _source(self) -> VolumeSeries:
        return VolumeSeries(self._volume(), self._name, self._uids)


def generated_study(name: str, path: Path, uids: SeriesUIDs, volume: Callable[[], Volume]) -> Study:
    """Return the study of an image file; the image is read when its series is first asked for."""
    attributes = served(as_json(study_attributes(name, uids.study)))
    try:
        count = check_image_header(path)[2]
    except VolumeError:  # told to whoever opens it
        count = None
    listed = counted(attributes, ["PT"], 1, count)
    return Study(uids.study, listed, lambda: [GeneratedSeries(name, uids, volume)])
