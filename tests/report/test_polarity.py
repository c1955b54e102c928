import pytest

from lib.report.entities import find_entities


def of_diseases(text):
    return [entity.polarity for entity in find_entities(text) if entity.concept.kind == "disease"]


@pytest.mark.parametrize(
    "text",
    [
        "This does not exclude malignancy.",
        "Recurrence cannot be definitively excluded.",
        "Cannot entirely exclude malignancy.",
        "Malignancy can't be fully excluded.",
        "Malignancy cannot be excluded in the liver.",
        "Metastasis has not been ruled out.",
        "不能完全除外转移。",
        "转移无法排除。",
        "Findings are unlikely to represent recurrence.",
        "It is unlikely that this represents metastasis.",
        "Low likelihood of malignancy.",
        "Metastasis is doubtful.",
        "Doubt metastasis.",
    ],
)
def test_what_is_not_excluded_or_doubted_is_uncertain(text):
    assert of_diseases(text) == ["uncertain"]


@pytest.mark.parametrize(
    "text", ["Malignancy is excluded.", "Metastasis has been ruled out.", "This excludes malignancy."]
)
def test_what_is_excluded_is_negated(text):
    assert of_diseases(text) == ["negated"]


def test_both_of_what_one_is_favored_over_are_uncertain():
    assert of_diseases("Infection is favoured over metastasis.") == ["uncertain", "uncertain"]


def test_what_stands_without_doubt_is_affirmed():
    assert of_diseases("No doubt metastasis. Nodes of doubtful significance, lymphoma.") == ["affirmed"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "No FDG-avid lesion to suggest metastatic disease.",
        "No lesions suspicious for metastatic disease.",
        "No nodule concerning for malignancy.",
        "The uptake is not suspicious for recurrence.",
        "No uptake suspicious for recurrence or metastasis.",
        "未见可疑转移。",
    ],
)
def test_what_a_denied_finding_would_be_a_sign_of_is_negated(text):
    assert set(of_diseases(text)) == {"negated"}


@pytest.mark.parametrize(
    "text",
    [
        "No comparison, suspicious for metastasis.",
        "No uptake but suspicious for metastasis.",
        "No uptake in the liver and the spleen is suspicious for metastasis.",
        "Nodule without uptake, likely granuloma.",
    ],
)
def test_a_sign_apart_from_what_is_denied_is_uncertain(text):
    assert of_diseases(text)[-1] == "uncertain"


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("可以排除转移。", "negated"),
        ("可除外转移。", "negated"),
        ("转移未见。", "negated"),
        ("转移不考虑。", "negated"),
        ("恶性依据不充分。", "negated"),
        ("原肝转移灶本次未见显示。", "negated"),
        ("非恶性病变。", "negated"),
        ("非特异性炎症。", "affirmed"),
        ("恶性可能性大。", "uncertain"),
        ("炎性可能。", "uncertain"),
    ],
)
def test_a_chinese_phrase_bears_on_what_stands_beside_it(text, polarity):
    assert of_diseases(text) == [polarity]


def test_non_bears_on_the_next_word_alone():
    assert of_diseases("Non-calcified nodule.") == ["negated", "affirmed"]


@pytest.mark.parametrize(
    "text",
    [
        "Interval resolution of the hepatic metastases.",
        "Complete metabolic resolution of the hepatic metastases.",
        "Resolution of the hepatic metastases.",
        "Interval disappearance of the hepatic metastases.",
        "No longer FDG-avid hepatic metastases.",
        "The hepatic metastases are no longer FDG-avid.",
        "Interval resolution of the hepatic metastases with new nodes.",
    ],
)
def test_what_has_resolved_is_negated_also_where_it_is_said_before(text):
    assert of_diseases(text) == ["negated"]


@pytest.mark.parametrize(
    "text",
    [
        "Interval resolution of the effusion with persistent ascites.",
        "Resolution of the effusion and persistent ascites.",
        "Resolution of the effusion and development of ascites.",
        "Resolution of the previously progressive effusion with small ascites.",
    ],
)
def test_what_is_there_beside_a_resolution_has_not_resolved(text):
    polarity = {one.concept.id: one.polarity for one in find_entities(text)}
    assert (polarity["pleural_effusion"], polarity["ascites"]) == ("negated", "affirmed")


def test_what_is_new_has_not_resolved():
    text = "The left breast uptake has resolved and there is a new right axillary node."
    assert {one.concept.id: one.polarity for one in find_entities(text)} == {
        "breast": "negated",
        "uptake": "negated",
        "resolved": "affirmed",
        "new_lesion": "affirmed",
        "node_axillary": "affirmed",
    }
