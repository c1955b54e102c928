import math

import pytest

from lib.report.check import check
from lib.report.entities import Entity, default_lexicon, find_entities
from lib.report.entity_metrics import compare, same_quantity
from lib.report.quantities import Quantity


def entity(concept, laterality=None, polarity="affirmed", quantities=()):
    return Entity(default_lexicon().concepts[concept], 0, 4, laterality, polarity, tuple(quantities))


def suv(value):
    return Quantity("suv_max", value, value, "g/mL", 0, 3, (value,))


LUNG, LIVER, SPLEEN, BRAIN = (entity(name) for name in ("lung", "liver", "spleen", "brain"))


def test_the_rates_equal_hand_computed_values():
    # Of lung, liver, spleen the hypothesis has two; of its four concepts brain alone is nowhere else.
    counts = compare([LUNG, LIVER, BRAIN, entity("kidney")], [LUNG, LIVER, SPLEEN], [entity("kidney")]).counts
    assert counts.ecr == pytest.approx(2 / 3)
    assert counts.uer == pytest.approx(1 / 4)
    assert counts.fcr == 1


@pytest.mark.parametrize(
    ("said", "fcr"),
    [
        (entity("lung", "right", quantities=[suv(8.5)]), 1),
        (entity("lung", "right", quantities=[suv(8.9)]), 1),  # within 5 %
        (entity("lung", "right", quantities=[suv(9.1)]), 0),
        (entity("lung", "right"), 1),
        (entity("lung", "left", quantities=[suv(8.5)]), 0),
        (entity("lung", None, quantities=[suv(8.5)]), 0),
        (entity("lung", "right", "negated"), 0),
        (entity("lung", "right", "uncertain"), 0),
    ],
)
def test_a_shared_concept_is_consistent_where_side_polarity_and_numbers_agree(said, fcr):
    found = compare([said], [entity("lung", "right", quantities=[suv(8.5)])], [])
    assert found.counts.fcr == fcr
    assert (found.inconsistent == (said,)) == (fcr == 0)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("Residual lymphoma. Deauville score 5.", "Residual lymphoma. Deauville score 2."),
        ("Deauville score 5. Residual lymphoma.", "Residual lymphoma. No effusion. Deauville score 2."),
        ("淋巴瘤治疗后。Deauville评分5分。", "淋巴瘤治疗后。Deauville评分1分。"),
        ("Right hilar node. SUVmax 5.6.", "Right hilar node. SUVmax 6.6."),
    ],
)
def test_a_number_in_a_sentence_of_its_own_is_compared_too(said, wrong):
    reference = find_entities(said)
    assert compare(reference, reference, []).counts.fcr == 1
    assert compare(find_entities(wrong), reference, []).counts.fcr == 0


def test_a_number_in_a_sentence_of_its_own_is_of_nothing_that_is_denied():
    texts = ("No effusion. Deauville score 2.", "Liver metastasis. TMTV 12.0 ml.", "Deauville score 5.")
    assert [one for text in texts for one in find_entities(text) if one.quantities] == []


@pytest.mark.parametrize(
    "text",
    [
        "Slice thickness 3 mm. Nodule in the right lung.",
        "Lymphoma. Height 170 cm. Liver metastasis.",
        "肺癌术后。层厚5mm。右肺结节。",
        "Ejection fraction 60 %. Liver metastasis.",
    ],
)
def test_a_number_of_the_technique_is_no_lesions(text):
    assert [one for one in find_entities(text) if one.quantities] == []


def test_findings_support_what_the_reference_leaves_out():
    said = entity("lung", "left")
    assert compare([said], [entity("lung", "right")], [entity("lung", "left")]).counts.fcr == 1


def test_concepts_are_counted_once_however_often_they_are_named():
    counts = compare([LUNG, LUNG, LIVER], [LUNG, LUNG], []).counts
    assert (counts.hypothesis, counts.reference, counts.unsupported) == (2, 1, 1)


def test_numbers_swapped_between_lesions_are_one_concept_s_and_no_inconsistency_but_the_check_marks_them():
    findings = "Lesion 1, in the liver: SUVmax 9.4.\nLesion 2, in the spleen: SUVmax 3.1."
    swapped = "Lesion 1 in the liver: SUVmax 3.1. Lesion 2 in the spleen: SUVmax 9.4."
    said, known = find_entities(swapped, "en"), find_entities(findings, "en")
    assert compare(said, known, known).counts.fcr == 1
    lesions = [
        {"id": n, "organ": organ, "side": None, "relation": "in", "site": "", "suv_max": suv}
        for n, organ, suv in ((1, "liver", 9.4), (2, "spleen", 3.1))
    ]
    found = check(swapped, {"lesions": lesions, "patient": {"count": 2}}, findings)
    assert [swapped[one.start : one.end] for one in found.marks] == ["3.1", "9.4"]


def test_nothing_of_nothing_is_undefined():
    counts = compare([], [], []).counts
    assert math.isnan(counts.ecr) and math.isnan(counts.uer) and math.isnan(counts.fcr)


def test_bounds_agree_with_the_same_bounds_alone():
    more = Quantity("suv", 5.0, math.inf, "g/mL", 0, 3)
    assert same_quantity(more, more)
    assert not same_quantity(more, suv(5.0))
