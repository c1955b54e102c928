"""An enhanced (multi-frame) PET as the source of a label: those of its frames that were read."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from lib.pet import Volume
from lib.pet.dicom_image import set_plane, set_position
from lib.pet.volume import LPS_TO_RAS

_FRAMES = "PerFrameFunctionalGroupsSequence"


def is_multi_frame(source: Dataset) -> bool:
    """Whether an image's planes are told in functional groups."""
    return _FRAMES in source


def with_slices_as_frames(source: Dataset, volume: Volume) -> Dataset:
    """Return a header whose frames are the volume's slices, in their order, and no others.

    Frames may be stored in any order and of many times, and may have their plane among their own groups or
    the shared ones (PS3.3 C.7.6.16); the volume knows where they lie.
    """
    affine = LPS_TO_RAS @ volume.affine
    plane, shared = Dataset(), Dataset()
    set_plane(plane, affine, volume.shape)
    shared.PixelMeasuresSequence = [_only(plane, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")]
    shared.PlaneOrientationSequence = [_only(plane, "ImageOrientationPatient")]
    frames = []
    for k in range(volume.shape[2]):
        place, frame = Dataset(), Dataset()
        set_position(place, affine, k)
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    header = Dataset()
    header.update(source)
    header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [shared], frames
    header.NumberOfFrames = len(frames)
    return header


def refer_to_frames(segmentation: Dataset, frames: Sequence[int]) -> None:
    """Let a SEG of such a header refer to the stored image, of which these frames, 0-based, were read."""
    references = {
        id(reference): reference  # segments share them
        for group in segmentation.PerFrameFunctionalGroupsSequence
        for derivation in group.DerivationImageSequence
        for reference in derivation.SourceImageSequence
    }
    for reference in references.values():
        reference.ReferencedFrameNumber = frames[int(reference.ReferencedFrameNumber) - 1] + 1


def _only(plane: Dataset, *keywords: str) -> Dataset:
    own = Dataset()
    for keyword in keywords:
        setattr(own, keyword, plane[keyword].value)
    return own
