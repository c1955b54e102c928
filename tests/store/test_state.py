import stat
from pathlib import Path

import pytest

from lib.store import StateFolder, StoreError, default_state, open_state


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_state_folder_its_missing_parents_and_its_subfolders_are_private(tmp_path):
    state = StateFolder(tmp_path / "a" / "b")
    folder = state.folder("journal")
    assert folder == tmp_path / "a" / "b" / "journal"
    assert [mode(path) for path in (folder, state.path, state.path.parent)] == [0o700] * 3


def test_an_existing_private_folder_is_opened_again_with_what_it_holds(tmp_path):
    (StateFolder(tmp_path / "state").folder("journal") / "x").write_text("kept")
    assert (StateFolder(tmp_path / "state").folder("journal") / "x").read_text() == "kept"


def test_an_empty_folder_is_made_private(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    StateFolder(tmp_path / "state")
    assert mode(tmp_path / "state") == 0o700


def test_a_folder_that_others_may_read_and_that_holds_something_is_refused_and_left_alone(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "thesis.txt").write_text("not ours")
    with pytest.raises(StoreError, match=r"Other users may read .*chmod 700"):
        StateFolder(folder)
    assert mode(folder) == 0o755


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        StateFolder(tmp_path / "state")


def test_the_default_lies_beside_the_studies(tmp_path):
    (tmp_path / "studies").mkdir()
    assert default_state(str(tmp_path / "studies")) == tmp_path / ".segpet" / "studies"


def test_the_default_of_a_relative_or_linked_folder_is_that_of_the_folder_itself(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "studies")
    monkeypatch.chdir(tmp_path)
    assert default_state("studies") == default_state("link/") == default_state(str(tmp_path / "studies"))


def test_each_url_has_a_default_of_its_own_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    one, same, other = (
        default_state(url) for url in ("http://pacs/dicom-web", "http://pacs/dicom-web/", "http://pacs/other")
    )
    assert one == same != other
    assert one.parent == other.parent == tmp_path / ".segpet"
    assert "pacs" not in one.name


def test_the_state_given_is_the_one_opened(tmp_path):
    (tmp_path / "studies").mkdir()
    assert open_state(str(tmp_path / "studies"), tmp_path / "mine").path == tmp_path / "mine"
    assert open_state("https://pacs/dicom-web", tmp_path / "mine").path == tmp_path / "mine"


@pytest.mark.parametrize("inside", [".", "state", "a/../state", "link"])
def test_a_state_inside_the_studies_is_refused_and_not_made(tmp_path, inside):
    studies = tmp_path / "studies"
    (studies / "real").mkdir(parents=True)
    (studies / "link").symlink_to(studies / "real")
    with pytest.raises(StoreError, match="inside the studies folder"):
        open_state(str(studies), studies / inside)
    assert not (studies / "state").exists()


def test_the_root_of_the_file_system_has_no_place_for_a_default_state():
    with pytest.raises(StoreError, match="inside the studies folder"):
        open_state("/")
    assert not Path("/.segpet").exists()


def test_a_server_writes_the_format_down_and_a_folder_without_it_is_taken(tmp_path):
    state = StateFolder(tmp_path / "state")
    assert not (state.path / "format").exists()
    state.hold()
    assert (state.path / "format").read_text() == "1\n"
    StateFolder(tmp_path / "state")


@pytest.mark.parametrize(
    ("format", "said"),
    [("2\n", r"newer SegPET .*format 2, this one knows 1"), ("x", "damaged"), ("", "damaged")],
)
def test_what_a_newer_segpet_wrote_is_refused_and_left_alone(tmp_path, format, said):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/format").write_text(format)
    with pytest.raises(StoreError, match=said):
        StateFolder(tmp_path / "state")
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["format"]
