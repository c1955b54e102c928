"""Annotators that click through the engine, and what is said of it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lib.interaction import RegionGrower, SeedRecall
from lib.interaction.segmenter import State
from lib.learning.autopet import GivenClicks
from lib.learning.cases import Case
from lib.learning.evaluation import Method, evaluate, lesion_rows, rows
from lib.learning.metrics import METRICS, dice
from lib.learning.protocols import Corrective, Given
from lib.learning.summary import summarise, summarise_seeds
from lib.pet import Crop, Volume

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def ball(shape, middle, radius):
    i, j, k = np.ogrid[tuple(map(slice, shape))]
    return (i - middle[0]) ** 2 + (j - middle[1]) ** 2 + (k - middle[2]) ** 2 <= radius**2


@pytest.fixture
def case():
    """Two lesions, each hot in its core: 41 % of the maximum misses the rim."""
    shape = (40, 30, 30)
    image = np.ones(shape, np.float32)
    parts = []
    for middle in ((10, 15, 15), (29, 15, 15)):
        parts.append(ball(shape, middle, 6))
        image[parts[-1]] = 3
        image[ball(shape, middle, 3)] = 10
    lesions = tuple(Crop.from_grid(part) for part in parts)
    return Case("two", Volume(image, AFFINE, "SUVbw"), lesions, lesions[0].union(lesions[1]), (4, 9))


class Obedient:
    """Adds a ball of 8 mm at positive clicks and takes one at negative ones; keeps what it was told."""

    name, digest = "obedient", "0"

    def __init__(self):
        self.steps = []

    def anchor(self, volume, click, taken):
        return None

    def advance(self, volume, anchor, before, steps, watch):
        self.steps.append(steps)
        mask = np.zeros(volume.shape, bool)
        for click in (click for step in steps for click in step):
            mask[ball(volume.shape, click.index, 2)] = click.positive
        return State(Crop.from_grid(mask), 1)


class Deaf:
    """Returns the same two voxels wherever it is clicked."""

    name, digest = "deaf", "1"

    def __init__(self, at=(10, 15, 15)):
        self.at = at

    def anchor(self, volume, click, taken):
        return None

    def advance(self, volume, anchor, before, steps, watch):
        return State(Crop(self.at, np.ones((1, 1, 2), bool)), 1)


def run(case, segmenter, clicks=(0, 1, 3), protocol=None):
    return evaluate(Method("it", segmenter), case, protocol or Corrective(), list(clicks), 5.0)


def test_without_clicks_the_mask_is_empty_and_more_clicks_help(case):
    result = run(case, Obedient(), (0, 1, 3, 8))
    assert [state.clicks for state in result.states] == list(range(9))
    dices = [state.dice for state in result.states]
    assert dices[0] == 0
    assert dices == sorted(dices)
    assert dices[8] > 3 * dices[1]


def test_scores_are_there_for_the_numbers_asked_for_alone(case):
    result = run(case, Obedient(), (1, 4))
    assert [state.clicks for state in result.states if state.scores] == [1, 4]
    assert all(state.scores.keys() == METRICS.keys() for state in result.states if state.scores)
    assert result.states[4].scores["dice"] == result.states[4].dice


def test_each_lesion_gets_its_own_clicks_and_their_union_is_scored(case):
    result = run(case, Obedient(), (2,))
    lesions = [sum(lesion.contains(at) for at in result.tumor) for lesion in case.objects]
    assert lesions == [2, 2]
    assert all(result.mask.contains(at) for at in result.tumor)
    assert result.states[1].scores == {}
    assert [state.seconds > 0 for state in result.states] == [False, True, True]


def test_the_first_click_is_the_middle_of_the_lesion(case):
    assert run(case, Obedient(), (1,)).tumor == ((10, 15, 15), (29, 15, 15))


def test_clicks_reach_the_segmenter_one_step_each(case):
    segmenter = Obedient()
    run(case, segmenter, (3,))
    longest = max(segmenter.steps, key=len)
    assert [len(step) for step in longest] == [1, 1, 1]


def test_a_voxel_is_not_clicked_twice_even_if_nobody_listens(case):
    result = run(case, Deaf(), (10,))
    clicks = [*result.tumor, *result.background]
    assert len(set(clicks)) == len(clicks) == 20


def test_nothing_is_clicked_when_nothing_is_wrong(case):
    voxel = Crop((4, 4, 4), np.ones((1, 1, 2), bool))
    result = run(Case("tiny", case.volume, (voxel,), voxel, (1,)), Deaf((4, 4, 4)), (5,))
    assert len(result.tumor) == 1
    assert [state.dice for state in result.states] == [0, 1, 1, 1, 1, 1]
    assert math.isnan(result.states[5].seconds)


@pytest.fixture
def healthy(case):
    return Case("healthy", case.volume, (), Crop.empty(), ())


def test_a_case_without_lesion_is_not_clicked_and_measures_nothing(healthy):
    result = run(healthy, Obedient())
    assert (result.tumor, result.background) == ((), ())
    assert math.isnan(result.states[-1].dice)
    assert all(np.isnan(list(state.scores.values())).all() for state in result.states if state.scores)


def test_cases_without_lesion_change_no_mean_and_are_counted(case, healthy):
    alone = summarise("w", "d", [run(case, RegionGrower())])
    both = summarise("w", "d", [run(case, RegionGrower()), run(healthy, RegionGrower())])
    assert (both["cases"], both["without_lesion"]) == (2, 1)
    for key in ("area_over_clicks", "clicks_to_dice", "lesions"):
        assert both[key] == alone[key]
    for n in ("0", "1", "3"):
        for name in METRICS:
            assert both["clicks"][n][name] == alone["clicks"][n][name]


def test_false_positives_without_a_lesion_count_where_something_is_proposed_or_clicked(healthy, case):
    proposed = run(healthy, RegionGrower(), (0, 1), Corrective(proposals=True)).states
    assert proposed[0].scores["fpv_ml"] > 0
    assert math.isnan(proposed[1].scores["fpv_ml"])
    given = GivenClicks((), ((2, 2, 2),))
    clicked = run(healthy, RegionGrower(), (0, 1), Given(lambda _: given)).states
    assert [state.scores["fpv_ml"] for state in clicked] == [0, 0]


@pytest.mark.parametrize("annotator", ["random", "human"])
def test_chance_is_seeded(case, annotator):
    one, again, other = (run(case, Obedient(), (5,), Corrective(annotator, seed)) for seed in (1, 1, 2))
    assert one.tumor == again.tumor != other.tumor


def test_a_method_may_get_the_clicks_that_another_one_got(case):
    first = evaluate(Method("obedient", Obedient()), case, Corrective(), (3,), 5.0)
    given = [lesion.clicks for lesion in first.each]
    assert [len(clicks) for clicks in given] == [3, 3]
    deaf = Deaf()
    second = evaluate(Method("deaf", deaf), case, Corrective("random", given=given), (3,), 5.0)
    assert (second.tumor, second.background) == (first.tumor, first.background)
    assert [lesion.clicks for lesion in second.each] == given
    fewer = evaluate(Method("deaf", deaf), case, Corrective(given=[given[0][:1], ()]), (3,), 5.0)
    assert [len(lesion.clicks) for lesion in fewer.each] == [1, 0]
    assert len(fewer.states) == 4


def test_given_clicks_are_made_in_the_whole_case_n_of_each_kind(case):
    given = GivenClicks(((10, 15, 15), (29, 15, 15)), ((20, 15, 15), (29, 15, 20)))
    result = run(case, RegionGrower(), (0, 1, 2), Given(lambda _: given))
    touched = [
        [any(lesion.contains(at) for at in np.argwhere(mask)) for lesion in case.objects]
        for mask in (np.zeros((1, 1, 1)), result.mask.to_grid(case.volume.shape))
    ]
    assert touched[1] == [True, True]
    # The first click knows one lesion, the second both.
    assert result.states[0].scores["fnv_ml"] == pytest.approx(case.truth.count * 0.064)
    assert result.states[1].scores["fnv_ml"] == pytest.approx(case.objects[1].count * 0.064)
    assert result.states[2].scores["fnv_ml"] == 0


def test_a_step_in_which_nothing_is_to_do_takes_no_time(case, healthy):
    lesion, other, cold = (10, 15, 15), (29, 15, 15), (2, 2, 2)
    for of, given, idle in (
        (case, GivenClicks((lesion, lesion, other), (cold,)), [True, False, True, False]),
        (healthy, GivenClicks((), (cold, (3, 3, 3))), [True, True, True, True]),
    ):
        states = run(of, RegionGrower(), (0, 3), Given(lambda _, given=given: given)).states
        assert [math.isnan(state.seconds) for state in states] == idle


def test_what_is_proposed_counts_also_where_no_click_is_given(healthy):
    protocol = Given(lambda _: GivenClicks((), ()), proposals=True)
    states = run(healthy, RegionGrower(), (0, 1), protocol).states
    assert states[1].scores["fpv_ml"] == states[0].scores["fpv_ml"] > 0


@pytest.fixture
def hot_case(case):
    """One lesion that stands out, and a spot as hot that is none."""
    image = np.ones(case.volume.shape, np.float32)
    lesion, spot = ball(image.shape, (10, 15, 15), 4), ball(image.shape, (30, 15, 15), 3)
    image[lesion] = image[spot] = 12
    crop = Crop.from_grid(lesion)
    return Case("hot", Volume(image, AFFINE, "SUVbw"), (crop,), crop, (1,)), Crop.from_grid(spot)


def test_proposals_are_the_mask_without_clicks_and_clicked_lesions_begin_anew(hot_case):
    case, spot = hot_case
    states = run(case, RegionGrower(), (0, 1), Corrective(proposals=True)).states
    assert states[0].scores["fnv_ml"] == 0
    assert states[0].scores["fpv_ml"] == pytest.approx(spot.count * 0.064, rel=0.3)
    assert states[0].seconds > 0
    assert states[1].scores["fpv_ml"] == 0


def test_a_lesion_has_the_dice_of_the_proposals_that_overlap_it(hot_case):
    case, _ = hot_case
    far = Crop((20, 2, 2), np.ones((2, 2, 2), bool))
    both = Case("both", case.volume, (*case.objects, far), case.truth.union(far), (1, 2))
    result = run(both, RegionGrower(), (0, 1), Corrective(proposals=True))
    found, missed = result.each
    # The spot is proposed as well, and counts against the case alone.
    assert found.dice[0] > 0.9 > result.states[0].dice > 0
    assert missed.dice[0] == 0


def test_given_clicks_correct_what_is_proposed(hot_case):
    case, _ = hot_case
    given = GivenClicks(((10, 15, 15), (10, 15, 15)), ((2, 2, 2), (30, 15, 15)))
    states = run(case, RegionGrower(), (0, 1, 2), Given(lambda _: given, proposals=True)).states
    assert [state.scores["fpv_ml"] > 0 for state in states] == [True, True, False]
    assert [state.scores["fnv_ml"] for state in states] == [0, 0, 0]


def test_seeds_are_summarised_over_patients():
    seeds = [SeedRecall(1, 4, 2), SeedRecall(3, 4, 0), SeedRecall(0, 0, 7)]
    summary = summarise_seeds(seeds)
    assert (summary["found"], summary["lesions"]) == (4, 8)
    assert summary["recall"]["mean"] == pytest.approx(0.5)
    assert summary["recall"]["cases"] == 2
    assert summary["false"]["mean"] == 3


def test_rows_have_empty_cells_where_there_is_no_value(healthy):
    given = Given(lambda _: GivenClicks((), ((2, 2, 2),)))
    lines = list(rows(run(healthy, Obedient(), protocol=given), 7))
    assert [line["clicks"] for line in lines] == [0, 1, 3]
    assert lines[0]["number"] == 7
    assert (lines[0]["dice"], lines[0]["seconds"], lines[0]["fpv_ml"]) == ("", "", 0)


def test_a_row_says_how_many_clicks_its_run_took_to_be_good(case):
    small = tuple(
        Crop.from_grid(ball(case.volume.shape, middle, 2)) for middle in ((10, 15, 15), (29, 15, 15))
    )
    easy = replace(case, objects=small, truth=small[0].union(small[1]))
    for segmenter, reached in ((Obedient(), 1), (Deaf(), None)):
        run = evaluate(Method("any", segmenter), easy, Corrective(), (0, 1, 3), 5.0)
        lines = list(rows(run, 1))
        assert [line["clicks_to_0.8"] for line in lines] == [reached] * 3
        area = (lines[0]["dice"] + 3 * lines[1]["dice"] + 2 * lines[2]["dice"]) / 6
        assert lines[0]["dice_over_clicks"] == pytest.approx(area, abs=1e-5)


def test_a_summary_holds_means_and_intervals_over_cases(case):
    runs = [run(case, Obedient(), (0, 1, 8)), run(case, Deaf(), (0, 1, 8))]
    summary = summarise("w", "d", runs)
    assert (summary["weights"], summary["cases"], list(summary["clicks"])) == ("w", 2, ["0", "1", "8"])
    at_end = summary["clicks"]["8"]
    dices = [one.states[8].dice for one in runs]
    assert at_end["dice"]["mean"] == pytest.approx(np.mean(dices), abs=1e-5)
    assert at_end["dice"]["ci95"] == pytest.approx(sorted(dices), abs=1e-5)
    assert at_end["seconds"] > 0
    assert summary["clicks"]["0"]["seconds"] is None
    # The deaf one never reaches it: all 8 clicks count.
    needed = [state.clicks for state in runs[0].states if state.dice >= 0.8]
    assert summary["clicks_to_dice"]["0.8"]["reached"] == (0.5 if needed else 0)
    assert summary["clicks_to_dice"]["0.8"]["mean"] == ((needed[0] if needed else 8) + 8) / 2


def test_each_lesion_has_its_own_dice_and_size(case):
    result = run(case, Obedient(), (0, 3))
    lines = list(lesion_rows(result, 1))
    assert [(line["lesion"], line["value"], line["clicks"]) for line in lines] == [
        (1, 4, 0),
        (1, 4, 3),
        (2, 9, 0),
        (2, 9, 3),
    ]
    assert lines[1]["volume_ml"] == pytest.approx(case.objects[0].count * 0.064)
    own = Crop.from_grid(result.mask.to_grid(case.volume.shape)[:20])
    assert lines[1]["dice"] == pytest.approx(dice(case.objects[0], own), abs=1e-5)


def test_lesions_are_summarised_by_size(case):
    voxel = Crop((4, 4, 4), np.ones((1, 1, 2), bool))
    tiny = Case("tiny", case.volume, (voxel,), voxel, (1,))
    groups = summarise("w", "d", [run(case, Obedient()), run(tiny, Deaf((4, 4, 4)))])["lesions"]
    assert {name: group["count"] for name, group in groups.items()} == {"up to 1 ml": 1, "20 to 100 ml": 2}
    assert groups["up to 1 ml"]["clicks"]["1"]["dice"]["mean"] == 1


def test_given_clicks_tell_no_lesion_apart(case):
    given = GivenClicks(((10, 15, 15),), ())
    assert list(lesion_rows(run(case, RegionGrower(), (1,), Given(lambda _: given)), 1)) == []


def test_a_summary_of_negative_studies_has_no_dice(healthy):
    given = Given(lambda _: GivenClicks((), ((2, 2, 2),)))
    summary = summarise("w", "d", [run(healthy, Obedient(), protocol=given)])
    assert summary["clicks"]["3"]["dice"] == {"mean": None, "ci95": [None, None], "cases": 0}
    assert summary["clicks"]["3"]["fpv_ml"]["mean"] == 0
    assert summary["clicks_to_dice"]["0.85"]["reached"] is None
