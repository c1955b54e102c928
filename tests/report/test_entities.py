import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.report.entities import find_entities, find_quantities, sentences


def found(text, concept):
    return next(entity for entity in find_entities(text) if entity.concept.id == concept)


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("No lymphadenopathy, but a nodule in the liver.", "lymphadenopathy", "negated"),
        ("No lymphadenopathy, but a nodule in the liver.", "nodule", "affirmed"),
        ("The lung is free of nodules.", "nodule", "negated"),
        ("Ascites is not seen.", "ascites", "negated"),
        ("Metastasis cannot be excluded.", "metastasis", "uncertain"),
        ("Findings are suspicious for recurrence.", "recurrence", "uncertain"),
        ("Fibrosis versus recurrence.", "fibrosis", "uncertain"),
        ("Fibrosis versus recurrence.", "recurrence", "uncertain"),
        ("No significant change of the nodule.", "nodule", "affirmed"),
        ("No nodule in the liver.", "liver", "negated"),
        ("The nodule has resolved.", "nodule", "negated"),
        ("非霍奇金淋巴瘤", "non_hodgkin", "affirmed"),
        ("双肺未见结节，右侧胸腔积液。", "nodule", "negated"),
        ("双肺未见结节，右侧胸腔积液。", "pleural_effusion", "affirmed"),
        ("转移不除外。", "metastasis", "uncertain"),
        ("考虑肺癌。", "lung_cancer", "uncertain"),
        ("转移瘤可能性大。", "metastasis", "uncertain"),
        ("肝脏未见转移。", "liver", "negated"),
        ("FDG代谢未见明显增高。", "increased_uptake", "negated"),
    ],
)
def test_a_text_affirms_negates_or_doubts(text, concept, polarity):
    assert found(text, concept).polarity == polarity


@pytest.mark.parametrize(
    ("text", "concept", "side"),
    [
        ("Left adrenal nodule.", "adrenal", "left"),
        ("Left adrenal nodule.", "nodule", "left"),
        ("Nodule in the RUL.", "nodule", "right"),
        ("B/L hilar nodes", "node_hilar", "bilateral"),
        ("R axillary LN", "node_axillary", "right"),
        ("L3 is sclerotic.", "vertebra_l3", None),
        ("Nodes of the left axilla and ipsilateral neck.", "neck", "left"),
        ("Right breast mass; the liver is normal.", "liver", None),
        ("双侧锁骨上淋巴结", "node_supraclavicular", "bilateral"),
        ("左肺上叶结节", "nodule", "left"),
        ("右侧髂骨及坐骨骨质破坏", "ischium", "right"),
        ("Lymphoma in the left neck.", "lymphoma", None),
        ("Malignant pleural effusion on the left.", "pleural_effusion", "left"),
        ("Pleural effusion on both sides.", "pleural_effusion", "bilateral"),
        ("胸腔积液（左侧）。", "pleural_effusion", "left"),
        ("心包积液，左侧胸腔积液。", "pericardial_effusion", None),
        ("Metastasis, right lung clear.", "metastasis", None),
        ("Neither pleural effusion nor ascites.", "pleural_effusion", None),
        ("Neither lung shows a nodule.", "nodule", "bilateral"),
    ],
)
def test_an_entity_has_the_side_of_its_site(text, concept, side):
    assert found(text, concept).laterality == side


@pytest.mark.parametrize(
    ("text", "quantities"),
    [
        ("SUVmax 12.3", [("suv_max", 12.3, 12.3, "g/mL")]),
        ("SUV max of 3.1-5.4 g/mL", [("suv_max", 3.1, 5.4, "g/mL")]),
        ("SUVpeak: 7", [("suv_peak", 7, 7, "g/mL")]),
        ("SUVmean约2.5", [("suv_mean", 2.5, 2.5, "g/mL")]),
        ("SUVmax up to 9.1", [("suv_max", 9.1, 9.1, "g/mL")]),
        (
            "SUVmax of the right hilar node decreased from 8.4 to 5.6",
            [("suv_max", 8.4, 8.4, "g/mL"), ("suv_max", 5.6, 5.6, "g/mL")],
        ),
        (
            "SUV of the maxillary node increased from 2.4 to 5.6",
            [("suv", 2.4, 2.4, "g/mL"), ("suv", 5.6, 5.6, "g/mL")],
        ),
        ("SUVmax 12.1 and 8.4", [("suv_max", 12.1, 12.1, "g/mL"), ("suv_max", 8.4, 8.4, "g/mL")]),
        ("SUVmax 5.3, previously 14.0", [("suv_max", 5.3, 5.3, "g/mL"), ("suv_max", 14, 14, "g/mL")]),
        ("1.2 x 0.8 cm", [("size", 12, 12, "mm"), ("size", 8, 8, "mm")]),
        ("2.1×1.8×3cm", [("size", 21, 21, "mm"), ("size", 18, 18, "mm"), ("size", 30, 30, "mm")]),
        ("8-14 mm", [("size", 8, 14, "mm")]),
        ("less than 5 mm", [("size", 0, 5, "mm")]),
        (">10 mm", [("size", 10, math.inf, "mm")]),
        ("1.5厘米", [("size", 15, 15, "mm")]),
        ("MTV 12.5 mL", [("volume", 12.5, 12.5, "ml")]),
        ("three FDG-avid lesions", [("count", 3, 3, None)]),
        ("两枚结节", [("count", 2, 2, None)]),
        ("3个病灶", [("count", 3, 3, None)]),
        ("Deauville score 4.", [("deauville", 4, 4, None)]),
        ("Deauville 2-3分", [("deauville", 2, 3, None)]),
        ("Deauville score III-IV", [("deauville", 3, 4, None)]),
        ("Deauville评分Ⅳ分", [("deauville", 4, 4, None)]),
        ("Deauville in the liver", []),
        ("62% reduction", [("percent", 62, 62, "%")]),
        ("segment 7, L3, level 2, 3 months, 2023-05-12", []),
    ],
)
def test_numbers_are_read_with_unit_and_range(text, quantities):
    read = [(one.kind, one.low, one.high, one.unit) for one in find_quantities(text)]
    assert read == quantities


@pytest.mark.parametrize(
    ("text", "sites"),
    [
        ("双肾上腺未见异常", [("adrenal", "bilateral")]),
        ("双肺门未见异常", [("pulmonary_hilum", "bilateral")]),
        ("双肾未见异常", [("kidney", "bilateral")]),
        ("两肺未见异常", [("lung", "bilateral")]),
        ("双侧肋骨骨折", [("rib", "bilateral")]),
        ("双扁桃体", [("tonsil", "bilateral")]),
        ("双髋关节", [("hip_joint", "bilateral")]),
        ("左乳结节", [("breast", "left")]),
        ("左侧腹股沟淋巴结", [("node_inguinal", "left")]),
        ("双侧腹股沟", [("groin", "bilateral")]),
        ("左侧腹", [("flank", "left")]),
        ("乳糜胸水", []),
        ("哺乳期乳腺", [("breast", None)]),
        ("导管内乳头状瘤", []),
        ("肝两叶转移", [("liver", None)]),
    ],
)
def test_a_chinese_word_for_both_is_no_part_of_the_name_of_a_site(text, sites):
    read = [(one.concept.id, one.laterality) for one in find_entities(text) if one.concept.kind == "anatomy"]
    assert read == sites


@pytest.mark.parametrize("text", ["Right lobe of the thyroid.", "Left lobe of the prostate.", "前列腺左叶"])
def test_a_lobe_of_thyroid_or_prostate_is_none_of_the_liver(text):
    (site,) = find_entities(text)
    assert site.concept.id in ("thyroid", "prostate") and site.laterality


def test_the_bone_of_bone_destruction_is_no_part_of_the_name_of_a_rib():
    assert found("右侧第3肋骨质破坏", "bone_destruction").laterality == "right"
    assert found("右侧第3肋骨骨质破坏", "bone_destruction").laterality == "right"
    assert found("右侧髂骨质破坏", "bone_destruction").laterality == "right"


def test_a_number_belongs_to_the_lesion_it_measures():
    text = "A 12 mm nodule in the liver with uptake, SUVmax 7.1; the spleen is 11 cm long."
    assert [one.kind for one in found(text, "nodule").quantities] == ["size", "suv_max"]
    assert [one.low for one in found(text, "spleen").quantities] == [110]


@pytest.mark.parametrize(
    ("text", "stations"),
    [
        ("hilar and mediastinal lymph nodes", ["node_hilar", "node_mediastinal"]),
        ("mediastinal and hilar lymphadenopathy", ["node_mediastinal", "node_hilar"]),
        ("mediastinal, and bilateral hilar avid lymph nodes", ["node_mediastinal", "node_hilar"]),
        ("纵隔多发淋巴结转移", ["node_mediastinal"]),
        ("双侧肺门及纵隔多发淋巴结转移", ["node_hilar", "node_mediastinal"]),
        ("左锁骨上及右侧腋窝多发高代谢肿大淋巴结", ["node_supraclavicular", "node_axillary"]),
        ("spleen and multiple lymph nodes", []),
        ("肝脏高代谢，肝门多发淋巴结", ["node_hepatic_hilar"]),
    ],
)
def test_a_list_of_stations_is_read_as_stations(text, stations):
    ids = [entity.concept.id for entity in find_entities(text)]
    assert [id for id in ids if id.startswith("node_")] == stations


def test_a_station_is_one_entity_whatever_its_nodes_are_like():
    assert [one.concept.id for one in find_entities("纵隔多发淋巴结转移")] == [
        "node_mediastinal",
        "metastasis",
    ]


def test_a_tnm_stage_is_one_entity_of_its_parts():
    (stage,) = find_entities("cT2aN1M0")
    assert (stage.concept.id, stage.concept.broader) == ("tnm_t2an1m0", ("tnm_t2a", "tnm_n1", "tnm_m0"))


def test_mixed_languages_and_html_are_read():
    text = "<p>右肺上叶 nodule</p> &nbsp; no 转移"
    ids = [(entity.concept.id, entity.polarity) for entity in find_entities(text)]
    assert ids == [("lung_upper_lobe_right", "affirmed"), ("nodule", "affirmed"), ("metastasis", "negated")]


def test_sentences_end_at_full_stops_alone():
    text = "1. SUVmax 3.2 approx. here. 第二句。Third"
    assert [text[start:end] for start, end in sentences(text)] == [
        "1. SUVmax 3.2 approx. here.",
        "第二句。",
        "Third",
    ]


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\ufffd\x00\ud800", "no " * 5000, "，" * 5000, "1" * 20_000, "右" * 5000, "第3、" * 5000],
)
def test_a_strange_text_is_read_without_failing(text):
    assert find_entities(text) == [] or all(entity.end <= len(text) for entity in find_entities(text))


WORDS = st.sampled_from(
    [
        "no",
        "left",
        "right",
        "双侧",
        "nodule",
        "结节",
        "肝",
        "liver",
        "SUVmax",
        "3.2",
        "x",
        "1.8",
        "cm",
        ",",
        ";",
        ".",
        "，",
        "。",
        "考虑",
        "未见",
        "versus",
        "Deauville",
        "4",
        "T2N1",
        "and",
        "及",
        "(",
        ")",
        "L3",
        "灶",
        "(左)",
    ]
)


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=80))
@example("Deauville 4 L3")  # "4 L" is a nodal station, and lies over the score
def test_spans_lie_in_the_text_in_order_whatever_it_is(text):
    entities = find_entities(text)
    assert all(0 <= entity.start < entity.end <= len(text) for entity in entities)
    assert all(one.end <= other.start for one, other in itertools.pairwise(entities))
    for quantity in find_quantities(text):
        assert 0 <= quantity.start < quantity.end <= len(text)
        assert quantity.low <= quantity.high
