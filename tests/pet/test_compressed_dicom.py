import io
import struct

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_series import scan_header, write_enhanced, write_series
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from lib.pet import VolumeError, read_volume
from lib.pet.dicom_files import read_header, tags


@pytest.fixture
def stored():
    smooth = np.add.outer(np.add.outer(np.arange(24) ** 2, 7 * np.arange(20)), 300 * np.arange(4))
    return (smooth + np.random.default_rng(3).integers(0, 50, smooth.shape)).astype(np.int16)


def jpeg_lossless_stream(pixels, folder):
    """Return one frame's JPEG lossless code stream, made by GDCM."""
    path = folder / "made.dcm"
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(path))
    writer.Execute(SimpleITK.GetImageFromArray(pixels[np.newaxis]))
    made = pydicom.dcmread(path)
    path.unlink()
    assert made.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    return next(generate_frames(made.PixelData, number_of_frames=1))


def jpeg_2000_stream(pixels, folder):
    """Return one frame's JPEG 2000 code stream."""
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint16)).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    return stream.getvalue()


def compress_file(path, syntax, folder):
    dataset = pydicom.dcmread(path)
    if syntax in (JPEGLosslessSV1, JPEG2000Lossless):
        frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
        coded = jpeg_2000_stream if syntax == JPEG2000Lossless else jpeg_lossless_stream
        dataset.PixelData = encapsulate([coded(frame, folder) for frame in frames])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
    else:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless])
def test_a_losslessly_compressed_series_reads_like_the_plain_one(stored, tmp_path, syntax):
    paths = write_series(tmp_path / "series", stored, slopes=[1, 2, 0.5, 3], edit=scan_header())
    plain = read_volume(tmp_path / "series")
    for path in paths:
        compress_file(path, syntax, tmp_path)
    assert read_volume(tmp_path / "series").digest == plain.digest


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless])
def test_a_compressed_enhanced_image_reads_like_the_plain_one(stored, tmp_path, syntax):
    path = write_enhanced(tmp_path / "enhanced" / "a.dcm", stored)
    plain = read_volume(tmp_path / "enhanced")
    compress_file(path, syntax, tmp_path)
    assert read_volume(tmp_path / "enhanced").digest == plain.digest


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEGLosslessSV1])
def test_a_damaged_code_stream_is_read_or_refused_with_a_sentence(stored, tmp_path, syntax):
    path = write_series(tmp_path / "series", stored, edit=scan_header())[1]
    compress_file(path, syntax, tmp_path)
    for other in (tmp_path / "series").iterdir():
        if other != path:
            compress_file(other, syntax, tmp_path)
    whole = path.read_bytes()
    start = whole.index(b"\xe0\x7f\x10\x00")
    random = np.random.default_rng(5)
    for _ in range(25):
        damaged = bytearray(whole)
        for at in random.integers(start + 12, len(whole), 4):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged[: random.integers(start, len(whole))] if random.integers(2) else damaged)
        try:
            assert read_volume(tmp_path / "series").shape == stored.shape
        except VolumeError as error:
            assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("syntax", "marker", "offset", "sides"),
    [
        (JPEGLSLossless, b"\xff\xf7", 5, ">HH"),
        (JPEGLosslessSV1, b"\xff\xc3", 5, ">HH"),
        (JPEG2000Lossless, b"\xff\x51", 6, ">LL"),
    ],
)
def test_a_code_stream_larger_than_its_image_is_refused_before_it_is_decoded(
    stored, tmp_path, syntax, marker, offset, sides
):
    (path,) = write_series(tmp_path / "series", stored[:, :, :1], edit=scan_header())
    compress_file(path, syntax, tmp_path)
    content = bytearray(path.read_bytes())
    at = content.index(marker, content.index(b"\xe0\x7f\x10\x00")) + offset
    content[at : at + struct.calcsize(sides)] = struct.pack(sides, 12_000, 12_000)
    path.write_bytes(content)
    with pytest.raises(VolumeError, match="fewer or more pixels"):
        read_volume(tmp_path / "series")


def test_the_shared_slice_in_jpeg_lossless_is_read_as_what_it_is(shared, tmp_path):
    source = shared / "data" / "pet-slices" / "ge_propcps_uncorrected.dcm"
    (tmp_path / "a").write_bytes(source.read_bytes())
    volume = read_volume(tmp_path)
    assert volume.unit == "unknown"
    assert volume.preflight.attenuation_corrected is False
    for reason in ("not attenuation corrected", "PROPCPS", "no patient weight"):
        assert reason in volume.preflight.sentence
    header = read_header(source, tags("LargestImagePixelValue RescaleSlope")).dataset
    assert volume.array.max() == pytest.approx(header.LargestImagePixelValue * header.RescaleSlope, rel=1e-6)


def test_the_shared_slice_in_activity_has_its_known_suv_max(shared, tmp_path):
    source = shared / "data" / "pet-slices" / "siemens_mct_flt_bqml.dcm"
    (tmp_path / "a").write_bytes(source.read_bytes())
    volume = read_volume(tmp_path)
    assert volume.unit == "SUVbw"
    assert volume.array.max() == pytest.approx(7.19, rel=0.01)
    assert volume.preflight.nuclide == "F-18"
