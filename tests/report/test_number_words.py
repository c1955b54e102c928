import pytest

from lib.report.check import check
from lib.report.counts import with_counts
from lib.report.quantities import find_quantities

LIVER = [{"id": n, "organ": "liver", "side": None, "relation": "in", "site": ""} for n in range(1, 16)]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Fifteen lesions.", [(15, 15)]),
        ("Twenty five lesions.", [(25, 25)]),
        ("Twenty-one liver metastases.", [(21, 21)]),
        ("Ninety nine in total.", [(99, 99)]),
        ("Twenty to twenty-five lesions.", [(20, 25)]),
        ("十五个病灶。", [(15, 15)]),
        ("二十五个病灶。", [(25, 25)]),
        ("总数九十九枚。", [(99, 99)]),
        ("两个病灶。", [(2, 2)]),
        ("两三个病灶。", [(2, 3)]),
    ],
)
def test_a_number_in_words_is_read_to_ninety_nine(text, counts):
    assert [(one.low, one.high) for one in with_counts(text, find_quantities(text))] == counts


@pytest.mark.parametrize(
    "text",
    [
        "One hundred five lesions.",
        "One hundred and twenty-five lesions.",
        "Five hundred lesions.",
        "Twenty five hundred lesions.",
        "Two dozen lesions.",
        "一百二十五个病灶。",
        "十五六个病灶。",
        "数十个病灶。",
        "几十个病灶。",
    ],
)
def test_a_part_of_a_longer_number_is_no_number(text):
    assert with_counts(text, find_quantities(text)) == []


@pytest.mark.parametrize("text", ["十五个病灶。", "病灶十五个。", "二十五个病灶。", "Twenty five lesions."])
def test_a_count_that_ends_with_the_right_digit_is_marked_and_mentions_no_lesion(text):
    found = check(text, {"lesions": LIVER[:5]})
    assert [one.kind for one in found.marks] == ["count"]
    assert len(found.missing) == 5


@pytest.mark.parametrize("text", ["肝内十五个转移灶。", "Fifteen liver metastases."])
def test_a_right_count_above_twelve_is_not_marked(text):
    assert check(text, {"lesions": LIVER}).marks == ()


LARGE = {
    "lesions": [{**LIVER[0], "suv_max": 3.3, "mtv_ml": 1363.7}],
    "patient": {"tmtv_ml": 10.7},
}


@pytest.mark.parametrize("text", ["Liver lesion, MTV 1,363.7 ml.", "肝脏病灶，MTV 1,364 ml。"])
def test_thousands_may_be_parted(text):
    assert check(text, LARGE).marks == ()


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("TMTV 1,010.7 ml.", "1,010.7 ml"),
        ("Liver lesion, MTV 1,563.7 ml.", "1,563.7 ml"),
        ("Liver lesion, SUVmax 1,234.", "1,234"),
        ("Liver lesion, SUVmax -3.3.", "-3.3"),
        ("Liver lesion, SUVmax −3.3.", "−3.3"),
    ],
)
def test_a_number_is_marked_whole_with_its_thousands_and_its_sign(text, marked):
    assert [text[one.start : one.end] for one in check(text, LARGE).marks] == [marked]


def test_a_dash_is_no_sign_and_a_comma_before_more_than_three_digits_parts_no_thousands():
    texts = ("SUVmax 2.1-3.3", "SUVmax 0,125", "SUVmax 5,1234")
    assert [find_quantities(text)[0].low for text in texts] == [2.1, 0, 5]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SUVmax 5,6", [5.6]),
        ("SUVmax 5,6 and 12,34", [5.6, 12.34]),
        ("3,8 x 2,1 cm", [38, 21]),
        ("MTV 12,5 ml", [12.5]),
        ("SUVmax 7,5,4", [7]),
        ("SUVmax 7, 5", [7]),
        ("SUVmax 7.4,6.1", [7.4]),
        ("SUVmax 3.4,2.1 cm", [3.4, 21]),
    ],
)
def test_a_comma_before_one_or_two_digits_is_decimal_where_it_can_be_no_list(text, values):
    assert [one.low for one in find_quantities(text)] == values


def test_a_number_with_a_decimal_comma_is_compared_as_far_as_it_was_written():
    table = {"lesions": [{**LIVER[0], "suv_max": 5.64, "feret_mm": 38.0}]}
    assert check("Liver lesion, SUVmax 5,6, 3,8 cm.", table).marks == ()
    text = "Liver lesion, SUVmax 5,4."
    assert [text[one.start : one.end] for one in check(text, table).marks] == ["5,4"]
