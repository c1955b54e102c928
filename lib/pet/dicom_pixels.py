"""Stored values of DICOM slices, whatever lossless or lossy code they are compressed in."""

import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import iter_pixels
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, SecondaryCaptureImageStorage

from lib.pet.dicom_files import read_with_pixels, tags
from lib.pet.dicom_slices import Slice
from lib.pet.volume import VolumeError

_PIXEL_MODULE = tags(
    "Rows Columns SamplesPerPixel PhotometricInterpretation PlanarConfiguration BitsAllocated BitsStored "
    "HighBit PixelRepresentation"
)
_TAGS = _PIXEL_MODULE + tags(
    "NumberOfFrames PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable "
    "ExtendedOffsetTableLengths"
)
_UNDECODABLE = (
    "A PET slice's pixels cannot be decoded: they are missing, truncated or compressed in a way that is not "
    "supported."
)
# GDCM, in SimpleITK, decodes what pydicom has no plugin for that is free of the GPL.
_BY_GDCM = (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit)
_ALWAYS_ALLOWED_BYTES = 512 << 20
_MOST_COMPRESSION = 100  # PET compresses to a half or a fifth, an empty image further


def check_size(slices: Sequence[Slice]) -> None:
    """Raise VolumeError where the slices would fill far more memory than their files could hold."""
    need = sum(one.rows * one.columns * max(one.bytes_per_pixel, 4) for one in slices)
    if need <= _ALWAYS_ALLOWED_BYTES:
        return
    stored = sum(path.stat().st_size for path in {one.path for one in slices})
    if need > _MOST_COMPRESSION * stored:
        raise VolumeError(
            f"The PET slices claim to hold {need / 1e9:.1f} GB, which files of {stored / 1e6:.1f} MB cannot."
        )


def stored_values(slices: Sequence[Slice]) -> Iterator[tuple[int, NDArray]]:
    """Yield each slice's number in the sequence and its stored values [row, column], file by file.

    Raises:
        VolumeError: pixels are missing, truncated, or compressed in a way that is not supported.
    """
    numbered = sorted(enumerate(slices), key=lambda pair: (str(pair[1].path), pair[1].index))
    for path, group in groupby(numbered, key=lambda pair: pair[1].path):
        wanted = list(group)
        frames = _decoded(path, [one.index for _, one in wanted])
        for (number, one), pixels in zip(wanted, frames, strict=True):
            if pixels.shape != (one.rows, one.columns):
                raise VolumeError("A PET slice holds fewer or more pixels than its header says.")
            yield number, pixels


def _decoded(path: Path, indices: list[int]) -> Iterator[NDArray]:
    dataset = read_with_pixels(path, _TAGS)
    if dataset is None:
        raise VolumeError(_UNDECODABLE)
    try:
        if dataset.file_meta.TransferSyntaxUID in _BY_GDCM:
            yield from _decoded_by_gdcm(dataset, indices)
        else:
            yield from iter_pixels(dataset, indices=indices)
    except Exception as error:  # decoders raise many things
        raise VolumeError(_UNDECODABLE) from error


def _decoded_by_gdcm(dataset: Dataset, indices: list[int]) -> Iterator[NDArray]:
    count = int(dataset.get("NumberOfFrames") or 1)
    streams = list(generate_frames(dataset.PixelData, number_of_frames=count))
    with tempfile.TemporaryDirectory() as folder:
        for index in indices:
            path = Path(folder) / f"{index}.dcm"
            # Pixels alone: no identifier comes to the disk, and no rescale is applied on the way.
            one = Dataset()
            for tag in _PIXEL_MODULE:
                if tag in dataset:
                    one[tag] = dataset[tag]
            one.SOPClassUID, one.SOPInstanceUID = SecondaryCaptureImageStorage, f"2.25.{index + 1}"
            one.PixelData = encapsulate([streams[index]])
            one["PixelData"].VR = "OB"
            one.file_meta = FileMetaDataset()
            one.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
            one.save_as(path, enforce_file_format=True)
            pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path, imageIO="GDCMImageIO"))
            path.unlink()
            yield np.squeeze(pixels, axis=0)
