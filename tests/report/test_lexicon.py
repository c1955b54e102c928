import csv

import pytest
from pydicom.sr.codedict import codes

from lib.report.entities import find_entities
from lib.report.lexicon import KINDS, LexiconError, default_lexicon, load_lexicon
from lib.report.text import words_of

LEXICON = default_lexicon()
CONCEPTS = LEXICON.concepts.values()


def test_there_are_400_concepts_and_more_with_names_in_both_languages():
    assert len(CONCEPTS) >= 400
    assert {concept.kind for concept in CONCEPTS} == set(KINDS)
    assert [concept.id for concept in CONCEPTS if not (concept.en and concept.zh)] == []


def test_no_name_means_two_things():
    names = [
        (tuple(words_of(name).words), name if name.isupper() and len(name) <= 4 else "")
        for concept in CONCEPTS
        for name in {*concept.en, *concept.zh}
    ]
    owners = {}
    for concept in CONCEPTS:
        for name in concept.en + concept.zh:
            key = tuple(words_of(name).words), name if name.isupper() and len(name) <= 4 else ""
            assert owners.setdefault(key, concept.id) == concept.id, name
    assert len(owners) <= len(names)


@pytest.mark.parametrize(
    ("one", "other"),
    [("双侧乳腺增生", "双侧乳腺炎"), ("前列腺增生", "前列腺炎"), ("Fibroadenoma", "Mastitis")],
)
def test_a_growth_is_not_the_inflammation_of_the_same_organ(one, other):
    ids = [{entity.concept.id for entity in find_entities(text)} for text in (one, other)]
    assert all(ids) and not ids[0] & ids[1]


def test_each_snomed_code_is_one_that_pydicom_knows():
    from pydicom.sr._concepts_dict import concepts

    known = {code for meanings in concepts["SCT"].values() for code in meanings}
    used = [concept.snomed for concept in CONCEPTS if concept.snomed]
    assert len(used) > 200
    assert set(used) <= known
    assert LEXICON.concepts["liver"].snomed == codes.SCT.Liver.value


def test_what_is_broader_is_followed_to_the_end():
    assert {"lung", "chest"} <= LEXICON.wider("lung_upper_lobe_right")
    assert {"spine", "bone"} <= LEXICON.wider("vertebra_l3")
    assert {"liver", "abdomen"} <= LEXICON.wider("liver_segment_7")
    assert "lymph_node" in LEXICON.wider("node_station_4r")
    assert "malignancy" in LEXICON.wider("dlbcl")
    assert "liver" not in LEXICON.wider("spleen")


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("metastases", "metastasis"),
        ("Oesophagus", "esophagus"),
        ("para-aortic lymph nodes", "node_paraaortic"),
        ("paraaortic nodes", None),
        ("RUL", "lung_upper_lobe_right"),
        ("upper lobe of the right lung", "lung_upper_lobe_right"),
        ("右上肺", "lung_upper_lobe_right"),
        ("Ⅱ区淋巴结", "node_level_2"),
        ("隆突下淋巴结", "node_subcarinal"),
        ("4R", "node_station_4r"),
        ("第3肋骨", "rib_3"),
        ("haemangiomas", "hemangioma"),
        ("CMR", "complete_metabolic_response"),
    ],
)
def test_abbreviations_inflections_and_spellings_are_known(text, concept):
    found = [entity.concept.id for entity in find_entities(text)]
    assert concept is None or found == [concept]


def test_an_abbreviation_is_found_as_it_is_written():
    assert [entity.concept.id for entity in find_entities("CR, not cr")] == ["complete_response"]


def write(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_team_adds_names_and_concepts(tmp_path):
    team = write(
        tmp_path / "team.csv",
        ["id", "kind", "en", "zh", "broader"],
        ["liver", "", "hepar", "", ""],
        ["our_marker", "disease", "halo sign", "晕征", "lesion"],
    )
    lexicon = load_lexicon(team)
    found = find_entities("Halo sign in the hepar.", lexicon=lexicon)
    assert [entity.concept.id for entity in found] == ["our_marker", "liver"]
    assert lexicon.concepts["liver"].snomed == LEXICON.concepts["liver"].snomed
    assert "disease" in lexicon.wider("our_marker")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["id", "kind", "en"], ["x", "organ", "x"]], "team.csv, line 2: the kind is one of"),
        ([["id", "kind", "en"], ["My X", "disease", "x"]], "an id is made of"),
        ([["id", "kind", "en"], ["x", "disease", "liver"]], '"liver" is a name of liver already'),
        ([["id", "kind", "en", "broader"], ["x", "disease", "xx", "nowhere"]], "there is no concept nowhere"),
        ([["id", "kind", "en"], ["x", "disease", ""]], "the concept has no name"),
        ([["id", "kind", "en", "snomed"], ["x", "disease", "xx", "T-1"]], "a SNOMED CT code is a number"),
        ([["id", "colour"], ["x", "red"]], "not colour"),
        ([["kind"], ["disease"]], "the first line must name the columns"),
        ([["id", "kind"], ["x", "disease", "more"]], "more fields than columns"),
    ],
)
def test_a_wrong_row_is_refused_with_file_and_reason(tmp_path, rows, says):
    with pytest.raises(LexiconError, match=says):
        load_lexicon(write(tmp_path / "team.csv", *rows))


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "team.csv").write_bytes(b"\xff\xfe\x00id")
    with pytest.raises(LexiconError, match=r"team\.csv is no table"):
        load_lexicon(tmp_path / "team.csv")
    with pytest.raises(LexiconError, match="There is no lexicon none"):
        load_lexicon(tmp_path / "none.csv")
