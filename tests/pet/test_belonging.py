import numpy as np
import pydicom
import pytest
from dicom_series import PATIENT, UID_PREFIX, write_series
from pydicom.uid import generate_uid
from structure_set import write

from lib.pet import VolumeError
from lib.pet.belonging import doubts_about

OTHER = generate_uid(UID_PREFIX)


@pytest.fixture
def study(tmp_path):
    """A DICOM study and its frame of reference."""
    files = write_series(tmp_path / "study", np.ones((4, 4, 3), np.int16))
    return tmp_path / "study", pydicom.dcmread(files[0]).FrameOfReferenceUID


def structure_set(folder, patient, frame):
    return write(folder / "rs.dcm", [("GTV", [])], patient=patient, frame=frame)


@pytest.mark.parametrize("patient", [PATIENT[1], ""])
def test_outlines_in_the_studys_frame_of_reference_raise_no_doubt(tmp_path, study, patient):
    assert doubts_about(structure_set(tmp_path, patient, study[1]), study[0]) == ()


def test_another_patient_in_another_frame_of_reference_is_refused_without_identifiers(tmp_path, study):
    with pytest.raises(VolumeError, match="another patient") as refused:
        doubts_about(structure_set(tmp_path, "SOMEBODY-1", OTHER), study[0])
    assert not any(text in str(refused.value) for text in ("SOMEBODY", *PATIENT, OTHER, study[1]))


@pytest.mark.parametrize("patient", [PATIENT[1], ""])
def test_another_frame_of_reference_alone_is_a_doubt(tmp_path, study, patient):
    (doubt,) = doubts_about(structure_set(tmp_path, patient, OTHER), study[0])
    assert "frame of reference" in doubt


@pytest.mark.parametrize("known", [True, False])
def test_another_patient_alone_is_a_doubt(tmp_path, study, known):
    (doubt,) = doubts_about(structure_set(tmp_path, "SOMEBODY-1", study[1] if known else None), study[0])
    assert "PatientID" in doubt and "SOMEBODY" not in doubt


def test_a_study_in_a_file_tells_nothing(tmp_path):
    file = structure_set(tmp_path, "SOMEBODY-1", OTHER)
    assert doubts_about(file, tmp_path / "study.nii.gz") == ()
