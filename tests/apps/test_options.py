import os

import pytest

from apps.segpet.options import BUNDLED, OptionError, checked_studies, names_of, read_options
from lib.interaction import DEFAULT_LABELS


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def test_without_options_there_are_defaults(studies, monkeypatch, tmp_path):
    monkeypatch.setenv("SEGPET_WEIGHTS", str(tmp_path / "none_of_my_own"))
    options = read_options({}, str(studies))
    assert options.labels == DEFAULT_LABELS
    assert options.model == BUNDLED / "compact.safetensors"
    assert options.unit is None
    assert options.state.path == studies.parent / ".segpet/studies"


def test_options_are_taken_over(studies, tmp_path):
    weights = tmp_path / "weights.pth"
    weights.touch()
    conf = {"labels": "lesion, node", "model": str(weights), "unit": "Bq/ml", "device": "cpu"}
    options = read_options({**conf, "state": str(tmp_path / "elsewhere")}, str(studies))
    assert options.labels == ("background", "lesion", "node")
    assert (options.model, options.unit, str(options.device)) == (weights, "Bq/ml", "cpu")
    assert options.state.path == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("unit", "SUVlbm", "unit"),
        ("unit", "unknown", "unit"),
        ("model", "/nowhere/weights.pth", "There are no weights"),
        ("labels", "a,a", "different names"),
        ("labels", "a/b", "cannot be a label"),
        ("device", "abacus", "abacus"),
        ("device", "cuda:99", "cuda:99"),
        ("colour", "red", "no option colour"),
    ],
)
def test_a_bad_option_is_refused_in_one_sentence(studies, key, value, said):
    with pytest.raises(OptionError, match=said) as error:
        read_options({key: value}, str(studies))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("spelt", "unit"), [("g/ml", "SUVbw"), ("suvbw", "SUVbw"), ("BQML", "Bq/ml")])
def test_the_unit_may_be_spelt_as_in_a_sidecar(studies, spelt, unit):
    assert read_options({"unit": spelt}, str(studies)).unit == unit


def test_the_studies_are_a_folder_or_a_url(studies, tmp_path):
    (tmp_path / "link").symlink_to(studies)
    assert checked_studies(str(tmp_path / "link")) == str(studies.resolve())
    assert checked_studies("https://pacs.example/dicomweb") == "https://pacs.example/dicomweb"


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "has no name"), ("absent", "There is no folder absent"), ("image.nii", "image.nii is a file")],
)
def test_what_is_no_studies_folder_is_refused(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image.nii").touch()
    with pytest.raises(OptionError, match=said):
        checked_studies(name)


@pytest.mark.parametrize("content", ["", "[]", '{"objects": {', f'{{"deep": {"[" * 300}{"]" * 300}}}'])
def test_a_list_of_studies_that_cannot_be_read_is_named_with_what_mends_it(studies, content):
    (studies / "datastore_v2.json").write_text(content)
    with pytest.raises(OptionError, match="segpet doctor --repair"):
        checked_studies(str(studies))


def test_a_studies_folder_that_cannot_be_written_is_refused(studies, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere
    with pytest.raises(OptionError, match="cannot be written, but labels are saved in it"):
        checked_studies(str(studies))


@pytest.mark.parametrize(
    ("hosts", "names"),
    [(None, ()), ("", ()), ("segpet.example", ("segpet.example",)), ("a, b,,", ("a", "b"))],
)
def test_hosts_are_names_separated_by_commas(studies, hosts, names):
    assert names_of(hosts) == names
    assert read_options({"hosts": hosts}, str(studies))


def test_a_state_folder_among_the_studies_is_refused(studies):
    with pytest.raises(OptionError, match="inside the studies folder"):
        read_options({"state": str(studies / "state")}, str(studies))
