import pytest

from lib.report.check import check
from lib.report.entities import find_entities


def bones(text):
    return [(one.concept.id, one.laterality) for one in find_entities(text) if one.concept.kind == "anatomy"]


@pytest.mark.parametrize(
    ("text", "right", "left"),
    [
        ("右侧第3、4、5肋骨骨折", [3, 4, 5], []),
        ("右侧第3-5肋骨", [3, 4, 5], []),
        ("右侧第3、5及左侧第4、6肋骨骨折", [3, 5], [4, 6]),
        ("右侧第三、四肋", [3, 4], []),
        ("右侧第一肋骨、左侧第十一肋", [1], [11]),
        ("右侧第3、4肋骨质破坏", [3, 4], []),
        ("Right 3rd, 4th and 6th to 8th ribs", [3, 4, 6, 7, 8], []),
        ("Right third to fifth ribs", [3, 4, 5], []),
        ("Left ribs 3-5", [], [3, 4, 5]),
    ],
)
def test_ribs_of_a_list_or_a_range_are_read_each_with_its_side(text, right, left):
    assert bones(text) == [(f"rib_{one}", "right") for one in right] + [
        (f"rib_{one}", "left") for one in left
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("胸3-5椎体", ["t3", "t4", "t5"]),
        ("第10、11胸椎", ["t10", "t11"]),
        ("胸3-胸5", ["t3", "t4", "t5"]),
        ("胸11至腰1、腰3椎体", ["t11", "t12", "l1", "l3"]),
        ("腰1、2椎体", ["l1", "l2"]),
        ("T3-T5 vertebrae", ["t3", "t4", "t5"]),
        ("T11-L2", ["t11", "t12", "l1", "l2"]),
        ("L4/5", ["l4", "l5"]),
    ],
)
def test_vertebrae_of_a_list_or_a_range_are_read_each(text, found):
    assert bones(text) == [(f"vertebra_{one}", None) for one in found]


@pytest.mark.parametrize("text", ["3 to 5 ribs", "SUVmax 3.2-5.1肋骨", "右侧3根肋骨", "右侧一肋骨", "两肋骨"])
def test_a_count_of_ribs_is_no_ribs_number(text):
    assert [id for id, _ in bones(text)] == ["rib"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("右侧第3肋骨SUVmax约6，第5肋骨SUVmax约8", [("rib_3", 6), ("rib_5", 8)]),
        ("Rib 5 with SUVmax 6, 7th rib with SUVmax 8.2", [("rib_5", 6), ("rib_7", 8.2)]),
        ("Rib 5, SUVmax 4.2, 7th rib, SUVmax 3", [("rib_5", 4.2), ("rib_7", 3)]),
    ],
)
def test_the_suv_of_one_rib_makes_no_list_with_the_next(text, found):
    read = [(one.concept.id, [quantity.low for quantity in one.quantities]) for one in find_entities(text)]
    assert read == [(id, [value]) for id, value in found]


def test_a_size_after_a_rib_is_no_other_rib():
    assert bones("Rib 5, 6 to 8 mm") == [("rib_5", None)]


@pytest.mark.parametrize(("text", "bone"), [("T2-3 cm", "vertebra_t2"), ("胸3，5个月后", "vertebra_t3")])
def test_a_length_or_a_time_after_a_vertebra_is_no_other_vertebra(text, bone):
    assert bones(text) == [(bone, None)]


def test_another_rib_of_a_list_is_marked():
    findings = "右侧第3、5肋骨转移。"
    assert check("右侧第3、5肋骨转移。", None, findings).marks == ()
    (mark,) = check("右侧第3、6肋骨转移。", None, findings).marks
    assert mark.kind == "site" and "6肋骨" in mark.reason


def test_a_lesion_within_a_range_is_not_missed():
    table = {"lesions": [{"id": 1, "organ": "vertebrae_T4", "side": None, "site": "", "suv_max": 3.3}]}
    assert check("Metastases of T3-T5.", table, "Metastases of T3 to T5.").missing == ()
