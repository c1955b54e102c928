import nibabel
import numpy as np
import pytest

from lib.interaction import Engine, RegionGrower
from lib.learning.next_study import StudyScore, StudyScores, of_tracer, ranked, score_study
from lib.pet import read_volume
from lib.pet.sidecar import sidecar_of
from tests.learning.small_studies import write_studies

RANDOM = np.random.default_rng(0)
BRAIN = 90  # in TotalSegmentator's table


def score(study, disagreement=None, entropy=None, tracer=None):
    return StudyScore(study, (1, 2), "abc", tracer, disagreement, entropy or {})


@pytest.fixture
def image(tmp_path):
    write_studies(tmp_path / "studies", 1)
    return tmp_path / "studies/p0.nii.gz"


def test_uncertain_takes_the_study_whose_masks_disagree_most():
    scores = [score("calm", 0.1), score("torn", 0.7), score("unknown"), score("middling", 0.3)]
    assert ranked("uncertain", scores, 0, RANDOM) == ["torn", "middling", "calm"]


def test_mixed_goes_by_both_classes_of_voxels_once_the_noise_has_faded():
    scores = [
        score("inside", entropy={"object": 0.9, "surroundings": 0.1}),
        score("around", entropy={"object": 0.1, "surroundings": 0.9}),
        score("unknown"),
    ]
    firsts = [ranked("mixed", scores, 500, np.random.default_rng(seed))[0] for seed in range(60)]
    assert 15 < firsts.count("inside") < 45
    assert firsts.count("inside") + firsts.count("around") == 60


def test_mixed_is_nearly_random_at_first_and_nearly_sure_later():
    bits = {f"study {n}": 0.05 + 0.1 * n for n in range(8)}
    scores = [score(study, entropy={"object": bit, "surroundings": bit}) for study, bit in bits.items()]

    def best(labels):
        drawn = [ranked("mixed", scores, labels, np.random.default_rng(seed))[0] for seed in range(200)]
        return drawn.count("study 7") / 200

    assert best(0) < 0.4
    assert best(200) > 0.9


def test_only_studies_of_the_tracer_come_by_any_of_its_names():
    scores = [score("a", tracer="FDG"), score("b", tracer="PSMA-11"), score("c")]
    assert [one.study for one in of_tracer(scores, "fdg")] == ["a"]
    assert of_tracer(scores, "unheard-of") == []


def test_a_score_is_kept_with_its_image_and_gone_when_that_changes(tmp_path, image):
    scores = StudyScores(tmp_path / "state/scores")
    assert scores.get("p0", image) is None
    found = score_study("p0", image, read_volume(image), Engine(RegionGrower()))
    scores.put(found)
    assert StudyScores(scores.folder).get("p0", image) == found
    assert found.disagreement is not None
    assert scores.folder.stat().st_mode & 0o077 == 0
    image.write_bytes(image.read_bytes() + b"\0")
    assert scores.get("p0", image) is None
    image.unlink()
    assert scores.get("p0", image) is None
    assert scores.last("p0") == found
    assert not found.is_of(image)


def test_a_score_is_gone_when_the_sidecar_changes_that_says_tracer_and_unit(tmp_path, image):
    scores, sidecar = StudyScores(tmp_path / "state/scores"), sidecar_of(image)
    scores.put(score_study("p0", image, read_volume(image), None))
    for change in (lambda: sidecar.write_text('{"TracerName": "FDG"}'), sidecar.unlink):
        assert scores.get("p0", image)
        change()
        assert scores.get("p0", image) is None
        scores.put(score_study("p0", image, read_volume(image), None))


def test_a_study_is_read_only_where_these_weights_have_not_been_asked(tmp_path, image):
    scores, read = StudyScores(tmp_path / "state/scores"), []

    def reading(path):
        read.append(path)
        return read_volume(path)

    tracer_only = scores.look("p0", image, reading, None)
    asked = scores.look("p0", image, reading, Engine(RegionGrower()))
    assert tracer_only.disagreement is None and asked.disagreement is not None
    assert scores.look("p0", image, reading, Engine(RegionGrower())) == asked
    assert scores.look("p0", image, reading, None) == asked
    assert len(read) == 2


def test_the_same_study_and_weights_give_the_same_score(image):
    volume = read_volume(image)
    first, second = (score_study("p0", image, volume, Engine(RegionGrower())) for _ in range(2))
    assert first == second


def test_normal_uptake_is_not_asked_about_where_an_organ_map_tells_it(tmp_path, image):
    image.with_name("p0.json").write_text(
        '{"Units": "g/mL", "TracerName": "FDG", "TracerRadionuclide": "F18"}'
    )

    volume, brain_alone = read_volume(image), tmp_path / "organs.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full(volume.shape, BRAIN, np.uint8), volume.affine), brain_alone)
    engine = Engine(RegionGrower())
    without = StudyScores(tmp_path / "without").look("p0", image, read_volume, engine)
    told = StudyScores(tmp_path / "with").look("p0", image, read_volume, engine, organ_map=brain_alone)
    assert without.disagreement is not None
    assert (told.tracer, told.disagreement, told.entropy) == ("FDG", None, {})


def test_an_organ_map_that_comes_or_changes_later_renews_the_score(tmp_path, image):
    scores, engine, asked = StudyScores(tmp_path / "state/scores"), Engine(RegionGrower()), []
    organ_map = tmp_path / "organs.nii.gz"

    def reading(path):
        asked.append(path)
        return read_volume(path)

    def look(organ_map):
        return scores.look("p0", image, reading, engine, organ_map=organ_map)

    look(None)
    for content in (b"a map", b"another map"):
        organ_map.write_bytes(content)
        found = look(organ_map)
        assert look(organ_map) == found == scores.get("p0", image)
    assert len(asked) == 3


def test_without_weights_the_tracer_is_known_and_nothing_else(image):
    image.with_name("p0.json").write_text(
        '{"Units": "g/mL", "TracerName": "FDG", "TracerRadionuclide": "F18"}'
    )
    found = score_study("p0", image, read_volume(image), None)
    assert (found.tracer, found.weights, found.disagreement) == ("FDG", "", None)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"study": "p0"}', '{"image": 3}', '{"image": [1, 2], "mood": 1}']
)
def test_a_damaged_score_counts_as_none(tmp_path, image, content):
    scores = StudyScores(tmp_path / "scores")
    (scores.folder / "p0.json").write_text(content)
    assert scores.get("p0", image) is None
