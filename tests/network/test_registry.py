import pytest
import torch

from lib.network import CheckpointError, load_network, save_network
from lib.network.registry import OFFICIAL, default_weights, find_weights, resolve_weights, weights_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("SEGPET_WEIGHTS", str(own))
    return own


@pytest.fixture
def bundled(tmp_path):
    path = tmp_path / "bundled"
    path.mkdir()
    (path / "compact.safetensors").touch()
    return path


def test_the_folder_is_the_users_unless_a_variable_names_one(folder, monkeypatch):
    assert weights_folder() == folder
    monkeypatch.delenv("SEGPET_WEIGHTS")
    assert weights_folder().parts[-2:] == (".segpet", "weights")


def test_a_file_dropped_into_the_folder_has_its_stem_as_its_name(folder, bundled):
    (folder / "our_psma.pth").touch()
    (folder / "notes.txt").touch()
    assert [(file.name, file.is_own) for file in find_weights([bundled])] == [
        ("our_psma", True),
        ("compact", False),
    ]
    assert resolve_weights("our_psma") == folder / "our_psma.pth"
    assert resolve_weights("Our-PSMA") == folder / "our_psma.pth"
    assert resolve_weights("our_psma.pth") == folder / "our_psma.pth"
    assert resolve_weights("compact", [bundled]) == bundled / "compact.safetensors"


def test_a_path_is_taken_before_a_name(folder, tmp_path, monkeypatch):
    (folder / "a.pth").touch()
    (tmp_path / "a.pth").touch()
    monkeypatch.chdir(tmp_path)
    assert resolve_weights("a.pth").resolve() == tmp_path / "a.pth"
    assert resolve_weights("a") == folder / "a.pth"
    assert str(resolve_weights("./b")) == "b"  # nothing of that name: said by whoever opens it


def test_of_one_name_the_file_that_loads_fast_counts_and_the_users_hides_the_bundled(folder, bundled):
    for name in ("a.pth", "a.safetensors", "compact.pth"):
        (folder / name).touch()
    assert [file.path.name for file in find_weights([bundled])] == ["a.safetensors", "compact.pth"]


def test_official_weights_that_are_not_here_say_how_to_get_them(folder):
    with pytest.raises(CheckpointError, match="run `segpet weights get seganypet-v2`, or put the file"):
        load_network("seganypet-v2")
    (folder / "seganypet_v2.pth").touch()
    assert resolve_weights("seganypet-v2") == folder / "seganypet_v2.pth"


def test_a_name_that_nothing_has_is_said_as_a_path_that_is_not_there(folder):
    with pytest.raises(CheckpointError, match="no weights at nothing_such"):
        load_network("nothing_such")


def test_a_server_takes_official_weights_then_bundled_ones_and_never_a_strangers(folder, bundled):
    assert default_weights() is None
    (folder / "aaa.pth").touch()
    assert default_weights() is None
    assert default_weights([bundled]).name == "compact"
    for official in reversed(OFFICIAL):
        (folder / official.file).touch()
        assert default_weights([bundled]).official == official


def test_official_weights_that_cannot_be_used_are_told_and_no_others_answer_instead(
    folder, bundled, small, caplog
):
    save_network(small, folder / "seganypet_v1.safetensors")
    assert default_weights([bundled]).name == "seganypet_v1"
    assert not caplog.messages
    torch.save({"a": torch.ones(2)}, folder / "seganypet_v2.pth")
    assert default_weights([bundled]).name == "seganypet_v2"
    assert f"{folder / 'seganypet_v2.pth'} is what counts" in caplog.text
    assert "move it elsewhere" in caplog.text


def test_a_folder_that_is_not_there_has_no_weights(folder):
    folder.rmdir()
    assert find_weights() == ()
