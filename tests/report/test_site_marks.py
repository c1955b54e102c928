import pytest

from lib.report.check import check

FINDINGS = (
    "Tracer FDG.\n2 lesions.\nLesion 1 in the liver: SUVmax 5.0, MTV 3.0 ml.\n"
    "Lesion 2 in the upper lobe of the left lung: SUVmax 8.0, MTV 9.0 ml.\n"
)


def kinds(text, findings="", table=None):
    return [one.kind for one in check(text, table, findings).marks]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("No uptake in the left lung.", FINDINGS),
        ("No liver metastases.", FINDINGS),
        ("No abnormal uptake in liver or lung.", FINDINGS),
        ("The liver is normal.", FINDINGS),
        ("No uptake in the liver.", "Intense uptake in the liver."),
        ("右肺未见病灶。", "右肺多发病灶，SUVmax 2.1-4.5。"),
    ],
)
def test_findings_alone_belie_a_denial_of_the_lesion_that_they_affirm(text, findings):
    assert kinds(text, findings) == ["polarity"]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("No uptake in the right lung.", FINDINGS),
        ("No other liver metastases.", FINDINGS),
        ("Liver metastasis, SUVmax 5.0. No liver lesions in segment II.", FINDINGS),
        ("No lymphadenopathy in the mediastinum.", "Mediastinal mass, SUVmax 5.0."),
        ("No lymphadenopathy in the mediastinum.", "Mediastinal blood pool SUVmax 2.0."),
        ("No uptake in the liver.", "Liver lesion without FDG uptake."),
        ("No uptake in the left lung.", "Lung lesion, SUVmax 3.0."),
        ("No bone metastases.", "Intense uptake in the bone."),
        ("No abnormal uptake in the bone.", "Diffuse increased uptake in the bone."),
        ("No abnormal uptake in the brain.", "Diffuse increased uptake in the brain, physiological."),
        ("No tumour thrombus in the portal vein.", "Portal vein lesion, SUVmax 5.0."),
        ("No liver metastases.", "History of liver metastases."),
        ("左肺未见病灶。", "右肺多发病灶，SUVmax 2.1-4.5。"),
    ],
)
def test_findings_alone_do_not_belie_a_denial_of_something_else(text, findings):
    assert kinds(text, findings) == []


TABLE = {
    "lesions": [
        {"id": 1, "organ": "vertebrae_T4", "side": None, "relation": "in", "site": "", "suv_max": 3.3},
        {"id": 2, "organ": "liver", "side": None, "relation": "in", "site": "", "normal_uptake": True},
    ]
}


@pytest.mark.parametrize("text", ["The T4 vertebra is normal.", "Normal T4 vertebra.", "第4胸椎正常。"])
def test_a_site_with_a_lesion_is_not_normal(text):
    assert kinds(text, table=TABLE) == ["polarity"]


@pytest.mark.parametrize(
    "text",
    ["The liver is normal.", "T4 vertebra of normal height.", "Lesion of the T4 vertebra. T4 is normal."],
)
def test_a_site_of_physiological_uptake_or_of_normal_shape_is_not_marked_as_normal(text):
    assert kinds(text, table=TABLE) == []


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("There is recurrence.", "There is no recurrence."),
        ("Findings consistent with malignancy.", "No evidence of malignancy."),
        ("Lung cancer with distant metastasis.", "Lung cancer. No evidence of recurrence or metastasis."),
        ("Distant metastases.", "No distant metastases."),
        ("肺癌术后，复发并转移。", "肺癌术后，未见复发及转移征象。"),
    ],
)
def test_a_diagnosis_that_the_findings_deny_is_marked_without_a_site(text, findings):
    assert kinds(text, findings) == ["polarity"]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("Multiple metastases.", "Lung nodules. Liver: no metastasis."),
        ("Axillary lymph node metastasis.", "Axillary lymph nodes. No distant metastasis."),
        ("Malignancy of the lung.", "Lung mass. No other malignancy."),
        ("Biochemical recurrence.", "Pelvic node. No local recurrence."),
        ("No distant metastasis.", "Axillary lymph node metastasis."),
        ("History of recurrence.", "No recurrence."),
        ("多发转移。", "多发骨质破坏。肝脏形态正常，未见转移。"),
        ("右腋窝淋巴结转移。", "右腋窝淋巴结代谢增高。未见远处转移。"),
    ],
)
def test_a_denial_of_a_part_denies_no_diagnosis_elsewhere(text, findings):
    assert kinds(text, findings) == []


def test_a_wrong_side_after_a_disease_is_marked():
    assert kinds("Pleural effusion on the left.", "Pleural effusion on the right.") == ["side"]
    assert kinds("Pleural effusion on the left.", "Left pleural effusion.") == []
