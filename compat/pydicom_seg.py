"""Stand-in for pydicom-seg 0.4.1, which pydicom 3 breaks: reads DICOM SEG as MONAI Label 0.8.5 needs it.

`monailabel.datastore.utils.convert` imports it to turn a SEG from the PACS into a label file.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import SimpleITK
    from pydicom import Dataset


@dataclass(frozen=True)
class MultiClassReadResult:
    """What was read: a class map, segment number per voxel, 0 where there is none."""

    image: "SimpleITK.Image"


class MultiClassReader:
    """Reads a DICOM SEG, binary or labelmap, whose segments do not overlap."""

    def read(self, dataset: "Dataset") -> MultiClassReadResult:
        """Read all segments into one class map.

        The map covers the frames stored, empty slices between them filled in; its third axis points along
        (row x column), as ITK reads an image series, whatever the order of the frames.

        Raises:
            ValueError: not a SEG, overlapping or fractional segments, or frames that form no regular volume.
        """
        # Imported here: MONAI Label imports this module at its start, and seldom reads a SEG.
        from highdicom import AxisHandedness
        from highdicom.seg import Segmentation

        try:
            segmentation = Segmentation.from_dataset(dataset, copy=False)
            volume = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
        except (ValueError, RuntimeError, AttributeError) as error:
            raise ValueError(f"This data set cannot be read as one class map: {error}") from error
        by_columns = volume.permute_spatial_axes([2, 1, 0])
        right_handed = by_columns.ensure_handedness(AxisHandedness.RIGHT_HANDED, flip_axis=2)
        return MultiClassReadResult(right_handed.to_simpleitk())


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(
        f"SegPET's stand-in for pydicom-seg has no {name}: it only reads, with MultiClassReader; "
        "write DICOM SEG with highdicom."
    )
