"""The evaluation's page, its curves and its pictures."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from lib.learning.cases import Case
from lib.learning.curves import Curve, Point, chart
from lib.learning.evaluation import Run, State
from lib.learning.gallery import WorstCases
from lib.learning.metrics import METRICS
from lib.learning.page import render
from lib.learning.summary import summarise
from lib.pet import Crop, Volume

VOID = {"meta", "img"}


def a_run(dice, case="secret name"):
    scores = dict.fromkeys(METRICS, 0.5)
    empty = State(0, 0.0, float("nan"), {**scores, "dice": 0.0})
    states = (empty, State(1, dice, 0.2, {**scores, "dice": dice}))
    return Run("m", case, 1, states, (), (), Crop((1, 1, 1), np.ones((2, 2, 2), bool)))


@pytest.fixture
def case():
    lesion = Crop((1, 1, 1), np.ones((3, 2, 2), bool))
    image = np.random.default_rng(0).uniform(0, 5, (10, 10, 10)).astype(np.float32)
    return Case("secret name", Volume(image, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw"), (lesion,), lesion, (1,))


@pytest.fixture
def page(case):
    worst = WorstCases()
    worst.consider(12, case, a_run(0.3))
    methods = [summarise(name, "d", [a_run(0.3), a_run(0.5)]) for name in ("net", "<b>41 %</b>")]
    return render(methods, {"annotator": "centre"}, worst.pictures, notes=["Case 3: <odd>."])


class Balanced(HTMLParser):
    """Fails where an element is not closed in its turn."""

    def __init__(self):
        super().__init__()
        self.open, self.svg = [], 0

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.svg += tag == "svg"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_has_a_curve_for_every_metric(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert parser.svg == 2 + len(METRICS)  # the legend's and the charts
    assert all(metric.title in page for metric in METRICS.values())
    assert "lesion F1 (connected parts)" in page  # of the whole mask, whatever one lesion is


def test_the_page_needs_nothing_but_itself(page):
    text = re.sub(r"base64,[^\"]+", "", page)  # which may hold any letters by chance
    assert not re.search(r"//|@import|url\(|<script|<link|<iframe|<object", text)
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', page))
    assert "default-src 'none'" in page


def test_the_page_names_no_case(page):
    assert "secret" not in re.sub(r"base64,[^\"]+", "", page)
    assert "Case 12: Dice 0.30, clicks: 1" in page


def test_the_page_says_which_weights_were_measured_and_whose_worst_cases_are_drawn(page):
    assert page.count("digest d<") == 2
    assert "Where net did worst" in page
    assert "The lowest Dice of net, the first of the methods" in page


def test_what_must_be_said_of_a_case_is_said(page):
    assert "<li>Case 3: &lt;odd&gt;.</li>" in page


def test_names_are_text_and_no_markup(page):
    assert "<b>41" not in page
    assert "&lt;b&gt;41 %&lt;/b&gt;" in page


def test_the_pictures_are_images(page):
    (data,) = re.findall(r"base64,([^\"]+)", page)
    image = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    colours = {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}
    assert any(r > 2 * b for r, g, b in colours)  # the truth's orange
    assert any(b > 2 * r + 50 for r, g, b in colours)  # the mask's blue


def test_a_page_without_a_value_or_a_picture_still_opens():
    nothing = State(1, float("nan"), float("nan"), dict.fromkeys(METRICS, float("nan")))
    empty = Run("m", "c", 0, (nothing,), (), (), Crop.empty())
    parser = Balanced()
    parser.feed(render([summarise("net", "d", [empty])], {}))
    assert parser.open == []


def test_the_worst_cases_are_kept_worst_first(case):
    worst = WorstCases()
    for number, dice in enumerate((0.9, 0.4, 0.7, 0.2, 0.8)):
        worst.consider(number, case, a_run(dice))
    assert [picture.number for picture in worst.pictures] == [3, 1, 2, 4]
    assert [picture.dice for picture in worst.pictures] == [0.2, 0.4, 0.7, 0.8]


def curve(points, style=0):
    return Curve("it", style, tuple(Point(*point) for point in points))


def texts(svg, anchor):
    return {text.text: text for text in svg.iter("text") if text.get("text-anchor") == anchor}


def test_a_chart_draws_means_where_the_axes_say():
    points = [(0, 0.0, 0.0, 0.0), (5, 0.5, 0.4, 0.6), (10, 1.0, 0.9, 1.0)]
    svg = ElementTree.fromstring(chart("Dice", [curve(points)], True))
    ticks = {value: float(text.get("y")) - 4 for value, text in texts(svg, "end").items()}
    clicks = {value: float(text.get("x")) for value, text in texts(svg, "middle").items()}
    line = svg.find("polyline").get("points").split()
    (x0, y0), (x5, y5), (x10, y10) = (map(float, point.split(",")) for point in line)
    assert (x0, x5, x10) == pytest.approx((clicks["0"], clicks["5"], clicks["10"]), abs=0.2)
    assert (y0, y10) == pytest.approx((ticks["0"], ticks["1"]), abs=0.2)
    assert y5 == pytest.approx((y0 + y10) / 2, abs=0.2)


@pytest.mark.parametrize("highest", [0.03, 0.7, 1.0, 4.3, 99.0, 100.0, 2345.0])
def test_an_axis_holds_the_highest_value_with_a_few_round_numbers(highest):
    drawn = chart("ml", [curve([(0, 0.0, None, None), (1, highest, None, None)])], False)
    svg = ElementTree.fromstring(drawn)
    ticks = [float(value) for value in texts(svg, "end")]
    assert 3 <= len(ticks) <= 7
    assert highest <= max(ticks) <= 2 * highest
    assert all(float(mark.get("cy")) >= 30 for mark in svg.iter("circle"))


def test_every_method_has_a_colour_and_a_mark_of_its_own():
    svg = chart("Dice", [curve([(1, 0.5, None, None)], style) for style in range(4)], True)
    marks = [element for element in ElementTree.fromstring(svg) if element.get("opacity") is None]
    marks = [element for element in marks if element.tag in ("circle", "polygon")]
    corners = [len(element.get("points", "").split()) for element in marks]
    assert corners == [0, 4, 3, 4]
    assert len({element.get("fill") for element in marks}) == 4


def test_nothing_to_draw_is_an_empty_chart():
    assert ElementTree.fromstring(chart("Dice", [], True)).tag == "svg"
