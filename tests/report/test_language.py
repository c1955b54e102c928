import pytest

from lib.report.language import ReportError, check_text, language_of, readable


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Two hepatic metastases.", "en"),
        ("肝内两枚高代谢结节，SUVmax 9.4。", "zh"),
        ("", "en"),
        ("8.3", "en"),
    ],
)
def test_a_text_s_language_is_told_by_most_of_it(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize("character", ["\x00", "\ufffd", "\x1b", "\ud800"])
def test_what_a_model_writes_is_made_readable_and_is_refused_of_others(character):
    text = f"Two{character} lesions.\n"
    with pytest.raises(ReportError, match="UTF-8"):
        check_text(text, "The text")
    assert check_text(readable(text), "The text") == "Two lesions.\n"


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(ReportError, match="50000"):
        check_text("x" * 50_001, "The text")
