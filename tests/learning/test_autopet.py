"""autoPET IV's clicks: made by its rules, written and read in its form."""

import json

import numpy as np
import pytest
from scipy import ndimage

from lib.learning.autopet import GivenClicks, read_clicks, simulate_clicks, write_clicks
from lib.learning.cases import Case, CaseError
from lib.pet import Crop, Volume, make_phantom


@pytest.fixture(scope="module")
def phantom_case():
    phantom = make_phantom(3)
    lesions = [Crop.from_grid(phantom.lesions == n) for n in range(1, int(phantom.lesions.max()) + 1)]
    return Case("phantom", phantom.volume, tuple(lesions), Crop.from_grid(phantom.lesions > 0), ())


def test_ten_clicks_of_each_kind_begin_with_the_middles_of_the_lesions(phantom_case):
    clicks = simulate_clicks(phantom_case, np.random.default_rng(0))
    assert len(clicks.tumor) == len(clicks.background) == 10
    lesions = len(phantom_case.objects)
    owners = [
        {n for n, lesion in enumerate(phantom_case.objects) if lesion.contains(at)} for at in clicks.tumor
    ]
    assert all(owners)
    assert set.union(*owners[:lesions]) == set(range(lesions))
    for at, (owner,) in zip(clicks.tumor[:lesions], owners, strict=False):
        lesion = phantom_case.objects[owner].array
        depth = ndimage.distance_transform_edt(np.pad(lesion, 1))[1:-1, 1:-1, 1:-1]
        assert depth[tuple(np.subtract(at, phantom_case.objects[owner].start))] == depth.max()


def test_background_clicks_lie_in_hot_places_without_lesion(phantom_case):
    truth = phantom_case.truth.to_grid(phantom_case.volume.shape)
    hot = np.percentile(phantom_case.volume.array[~truth], 99.75)
    for at in simulate_clicks(phantom_case, np.random.default_rng(0)).background:
        assert not truth[at]
        assert phantom_case.volume.array[at] > hot


def test_a_case_without_lesion_gets_background_clicks_alone(phantom_case):
    healthy = Case("healthy", phantom_case.volume, (), Crop.empty(), ())
    clicks = simulate_clicks(healthy, np.random.default_rng(0))
    assert clicks.tumor == ()
    assert len(clicks.background) == 10


def test_no_click_is_made_on_a_voxel_without_a_value(phantom_case):
    array = phantom_case.volume.array.copy()
    array[~phantom_case.truth.to_grid(array.shape) & (array < np.median(array))] = np.inf
    middles = simulate_clicks(phantom_case, np.random.default_rng(0)).tumor
    for at in middles[: len(phantom_case.objects)]:
        array[at] = np.nan
    volume = Volume(array, phantom_case.volume.affine, "SUVbw")
    case = Case("gaps", volume, phantom_case.objects, phantom_case.truth, ())
    clicks = simulate_clicks(case, np.random.default_rng(0))
    assert len(clicks.tumor) == len(clicks.background) == 10
    assert all(np.isfinite(array[at]) for at in (*clicks.tumor, *clicks.background))


def test_a_seed_gives_the_same_clicks_always(phantom_case):
    one, again, other = (simulate_clicks(phantom_case, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_state_n_knows_the_first_n_of_each_kind():
    clicks = GivenClicks(((5, 5, 5), (1, 1, 1), (5, 5, 5)), ((9, 9, 9),))
    assert clicks.first(0, "lesion").positive == {}
    assert clicks.first(1, "lesion").positive == {"lesion": ((5, 5, 5),)}
    last = clicks.first(3, "lesion")
    assert last.positive == {"lesion": ((1, 1, 1), (5, 5, 5))}
    assert last.negative == ((9, 9, 9),)


@pytest.fixture
def volume():
    return Volume(np.zeros((10, 20, 30), np.float32), np.eye(4), "SUVbw")


def test_clicks_come_back_in_their_order(tmp_path, volume):
    tumor, background = [(9, 19, 29), (0, 0, 0)], [(3, 2, 1)]
    write_clicks(tmp_path / "c.json", tumor, background)
    assert json.loads((tmp_path / "c.json").read_text()) == {
        "tumor": [[9, 19, 29], [0, 0, 0]],
        "background": [[3, 2, 1]],
    }
    clicks = read_clicks(tmp_path / "c.json", volume)
    assert (list(clicks.tumor), list(clicks.background)) == (tumor, background)


def test_grand_challenges_points_are_clicks_too(tmp_path, volume):
    named = [("tumor", [9, 19, 29]), ("background", [3, 2, 1]), ("tumor", [0, 0, 0])]
    points = [{"point": point, "name": name} for name, point in named]
    content = {"version": {"major": 1, "minor": 0}, "type": "Multiple points", "points": points}
    (tmp_path / "c.json").write_text(json.dumps(content))
    clicks = read_clicks(tmp_path / "c.json", volume)
    assert clicks == GivenClicks(((9, 19, 29), (0, 0, 0)), ((3, 2, 1),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no click file"),
        ("[]", "no click file"),
        ('{"tumor": [[1, 2, 3]]}', "no click file"),
        ('{"tumor": 5, "background": []}', "no click file"),
        ('{"points": [{"name": "liver", "point": [1, 2, 3]}]}', "no click file"),
        ('{"points": {"name": "tumor"}}', "no click file"),
        ('{"points": [{"name": "tumor", "point": [1, 2, 30]}]}', "outside the image"),
        ("5", "no click file"),
        ('{"tumor": [[1, 2]], "background": []}', "three whole numbers"),
        ('{"tumor": [[1, 2.5, 3]], "background": []}', "three whole numbers"),
        ('{"tumor": [[1, 2, 30]], "background": []}', "outside the image"),
        ('{"tumor": [], "background": [[-1, 2, 3]]}', "outside the image"),
    ],
)
def test_a_file_that_holds_no_clicks_is_refused_in_a_sentence(tmp_path, volume, text, said):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(CaseError, match=said):
        read_clicks(tmp_path / "c.json", volume)


def test_a_missing_file_is_named(tmp_path, volume):
    with pytest.raises(CaseError, match=r"no click file none\.json"):
        read_clicks(tmp_path / "none.json", volume)
