"""Stored values of DICOM slices, whatever lossless or lossy code they are compressed in."""

import struct
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
from pydicom.uid import (
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from lib.pet.dicom_files import read_with_pixels, tags
from lib.pet.dicom_slices import Slice
from lib.pet.volume import VolumeError

_PIXEL_MODULE = tags(
    "Rows Columns SamplesPerPixel PhotometricInterpretation PlanarConfiguration BitsAllocated BitsStored "
    "HighBit PixelRepresentation"
)
_TAGS = _PIXEL_MODULE + tags("NumberOfFrames PixelData FloatPixelData DoubleFloatPixelData")
_UNDECODABLE = (
    "A PET slice's pixels cannot be decoded: they are missing, truncated or compressed in a way that is not "
    "supported."
)
_OTHER_SIZE = "A PET slice holds fewer or more pixels than its header says."
# GDCM, in SimpleITK, decodes what pydicom has no plugin for that is free of the GPL.
_BY_GDCM = (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit)
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # less Huffman, JPG, arithmetic
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
        frames = decoded_frames(path, [one.index for _, one in wanted])
        for (number, one), pixels in zip(wanted, frames, strict=True):
            if pixels.shape != (one.rows, one.columns):
                raise VolumeError(_OTHER_SIZE)
            yield number, pixels


def decoded_frames(path: Path, indices: list[int]) -> Iterator[NDArray]:
    """Yield the stored values [row, column] of some frames of a file; their numbers are 0-based.

    Raises:
        VolumeError: as `stored_values`.
    """
    dataset = read_with_pixels(path, _TAGS)
    if dataset is None:
        raise VolumeError(_UNDECODABLE)
    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        if not syntax.is_encapsulated or syntax == RLELossless:
            yield from iter_pixels(dataset, indices=indices)
            return
        count = int(dataset.get("NumberOfFrames") or 1)
        streams = list(generate_frames(dataset.PixelData, number_of_frames=count))
        for index in indices:
            declared = _declared_size(streams[index])
            if declared == (0, 0):
                raise VolumeError(_UNDECODABLE)
            if declared not in (None, (dataset.Rows, dataset.Columns)):
                raise VolumeError(_OTHER_SIZE)
            one = _single(dataset, streams[index])
            yield _decoded_by_gdcm(one) if syntax in _BY_GDCM else next(iter_pixels(one))
    except (VolumeError, MemoryError):
        raise
    except Exception as error:  # decoders raise many things
        raise VolumeError(_UNDECODABLE) from error


def _declared_size(stream: bytes) -> tuple[int, int] | None:
    """Return rows and columns for which a decoder will take memory; (0, 0) where the stream does not say.

    None for JPEG 2000 in its file format, whose decoder checks it.
    """
    if stream.startswith(b"\xff\x4f\xff\x51"):  # JPEG 2000: the size is at its beginning
        width, height, left, top, *_, components = struct.unpack(">8LH", stream[8:42])
        return (height - top, width - left) if components == 1 else (0, 0)
    if not stream.startswith(b"\xff\xd8"):
        return None if stream.startswith(b"\0\0\0\x0cjP") else (0, 0)
    at = 2
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker, length, _, rows, columns, components = struct.unpack(">BHBHHB", stream[at + 1 : at + 10])
        if marker in _START_OF_FRAME:
            return (rows, columns) if components == 1 else (0, 0)
        at += 1 if marker == 0xFF else 2 + length
    return 0, 0


def _single(dataset: Dataset, stream: bytes) -> Dataset:
    """Return an image of one frame, of its pixels alone: no identifier, and no rescale."""
    one = Dataset()
    for tag in _PIXEL_MODULE:
        if tag in dataset:
            one[tag] = dataset[tag]
    one.SOPClassUID, one.SOPInstanceUID = SecondaryCaptureImageStorage, "2.25.1"
    one.PixelData = encapsulate([stream])
    one["PixelData"].VR = "OB"
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    return one


def _decoded_by_gdcm(one: Dataset) -> NDArray:
    with tempfile.TemporaryDirectory() as folder:  # SimpleITK reads from files only
        path = Path(folder) / "one.dcm"
        one.save_as(path, enforce_file_format=True)
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path, imageIO="GDCMImageIO"))
    return np.squeeze(pixels, axis=0)
