"""What a server says of its studies folder when it starts."""

from apps.segpet.inventory import in_words, inventory


def test_what_is_not_served_is_told_with_its_reason(tmp_path):
    for name in (
        "P1.nii",
        "P1.nrrd",
        "P1.json",
        "P2.NII",
        "notes.txt",
        "a.dcm",
        ".DS_Store",
        "datastore_v2.json",
    ):
        (tmp_path / name).touch()
    for name in ("labels", "organs", "series"):
        (tmp_path / name).mkdir()
    skipped = inventory(tmp_path, ["P1.nrrd"])
    assert {reason.split(" (")[0]: names for reason, names in skipped.items()} == {
        "hidden by another file of the same name with another ending": ["P1.nii"],
        "an image whose name cannot be used": ["P2.NII"],
        "no image": ["notes.txt"],
        "a DICOM file": ["a.dcm"],
        "a folder without a DICOM PET image": ["series"],
    }


def test_names_are_only_told_to_a_person():
    skipped = {"no image": ["Doe.txt", "b", "c", "d"]}
    assert in_words(2, skipped, with_names=False) == ["2 studies.", "Not served: 4 x no image"]
    assert in_words(1, skipped, with_names=True) == [
        "1 study.",
        "Not served: 4 x no image: Doe.txt, b, c, ...",
    ]
    assert in_words(0, {}, with_names=True) == ["0 studies: nothing to label yet."]
