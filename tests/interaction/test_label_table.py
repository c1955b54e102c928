import pytest

from lib.interaction import DEFAULT_LABELS, PromptError
from lib.interaction.label_table import label_of, read_label_table


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("GTV_Mass_PET", "lesion"),
        ("Tumor 2", "lesion"),
        ("Left kidney", "kidney_left"),
        ("kidney-left", "kidney_left"),
        ("LIVER", "liver"),
        ("1", None),
        ("background", None),
    ],
)
def test_a_name_that_says_what_it_is_needs_no_table(name, label):
    assert label_of(name, (), DEFAULT_LABELS) == label


def test_the_first_row_that_fits_counts(tmp_path):
    (tmp_path / "names.csv").write_text("GTV_node*,\nGTV*,lesion\nhepar,liver\n", encoding="utf-8")
    table = read_label_table(tmp_path / "names.csv", DEFAULT_LABELS)
    meant = [label_of(name, table, DEFAULT_LABELS) for name in ("gtv_NODE 1", "GTV 1", "Hepar")]
    assert meant == ["", "lesion", "liver"]


@pytest.mark.parametrize(
    ("content", "why"),
    [("GTV\n", "a name and a label"), ("GTV,tumour\n", "no label in use"), ("GTV,background\n", "no label")],
)
def test_a_table_that_is_wrong_is_refused(tmp_path, content, why):
    (tmp_path / "names.csv").write_text(content, encoding="utf-8")
    with pytest.raises(PromptError, match=why):
        read_label_table(tmp_path / "names.csv", DEFAULT_LABELS)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        read_label_table(tmp_path / "names.csv", DEFAULT_LABELS)
