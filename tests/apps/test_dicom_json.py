"""Data sets in the DICOM JSON model: what breaks the standard is left out, but not a scanner's long slope."""

import io

import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import DataElement

from apps.segpet.dicomweb.model import as_json


def as_read(**elements):
    """A data set as it is read from a file that somebody wrote without regard to the standard."""
    dataset = pydicom.Dataset()
    for keyword, (vr, value) in elements.items():
        tag = pydicom.datadict.tag_for_keyword(keyword)
        dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    with config.disable_value_validation():
        file = io.BytesIO()
        pydicom.dcmwrite(file, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    file.seek(0)
    return pydicom.dcmread(file, force=True)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("0.00017435897435897435", [0.00017435897435897435]),
        (["0.00017435897435897435", "2"], [0.00017435897435897435, 2.0]),
        ("1.5", [1.5]),
    ],
)
def test_a_slope_is_told_however_many_digits_it_has(written, told):
    found = as_json(as_read(RescaleSlope=("DS", written)))
    assert found["00281053"] == {"vr": "DS", "Value": pytest.approx(told, rel=1e-15)}


def test_what_is_no_number_is_left_out():
    found = as_json(as_read(RescaleSlope=("DS", "1E999999999999999999"), Rows=("US", 4)))
    assert list(found) == ["00280010"]
