"""`segpet doctor`: a store is broken in each way that it knows, found out and repaired."""

import gzip
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from lib.pet import write_mask
from lib.store import Journal, LabelVersions, Leases, Models, StateFolder
from lib.store.audit import Audit
from lib.store.backup import restore_backup, write_backup
from lib.store.reports import AcceptedImpressions
from scripts import doctor as command
from scripts.__main__ import app

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (6, 7, 8)


class Store:
    """A studies folder with two studies, and a state folder with some of all that a team makes."""

    def __init__(self, folder: Path) -> None:
        self.studies, self.state = folder / "studies", folder / "state"
        self.final = self.studies / "labels/final"
        self.final.mkdir(parents=True, exist_ok=True)
        state = StateFolder(self.state)
        self.journal = Journal(state.folder("journal"))
        self.labels = LabelVersions(state.folder("labels"))
        self.models = Models(state.folder("models"))
        self.accepted = AcceptedImpressions(state.folder("impressions"))

    def fill(self) -> None:
        for study in ("a", "b"):
            write_mask(self.studies / f"{study}.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
            for number, status in enumerate(("draft", "final"), start=1):
                self.save(study, number, status)
            self.journal.append(study, {"event": "save", "version": 2})
            self.journal.append(study, {"event": "clicks", "client": "me"})
        for number in (1, 2):
            file = self.state.parent / "w.safetensors"
            file.write_bytes(b"weights %d" % number)
            self.models.add(file, {})
            self.models.promote(number)
        self.models.split({"a": "a", "b": "b"})
        self.accepted.accept("a", 2, "en", "f", "i", "me")
        Leases(self.state / "leases").renew("a", "me")
        for event in ("save", "train", "save"):
            Audit(self.state / "audit").append(event, "me", "a")
        (self.state / "training").mkdir()
        (self.state / "training/progress.json").write_text('{"status": "done"}')

    def save(self, study: str, number: int, status: str) -> None:
        mask = np.zeros(SHAPE, np.uint8)
        mask[:number] = 1
        file = self.state.parent / "mask.nii.gz"
        write_mask(file, mask, np.eye(4))
        objects = {"objects": [{"id": 1}], "label_info": None}
        self.labels.save(study, file, objects, "me", status, file)
        if status == "final":
            (self.final / f"{study}.nii.gz").write_bytes(file.read_bytes())

    def files(self) -> dict[str, bytes]:
        folders = (self.studies, self.state)
        return {str(p): p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    Store(folder).fill()
    return folder


@pytest.fixture
def store(filled, tmp_path):
    """A copy, for writing it anew waits for the disk each time."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return Store(tmp_path)


@pytest.fixture(autouse=True)
def machine(request, monkeypatch):
    """The machine is looked at in one test only: it takes seconds, and says the same each time."""
    if "machine" not in request.node.name:
        monkeypatch.setattr(command, "_machine", lambda: iter([command.Check("machine", True, "")]))


def doctor(store, *options):
    asked = ["doctor", str(store.studies), "--state", str(store.state), "--json", *options]
    done = CliRunner().invoke(app, asked)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout) if done.stdout.startswith("{") else done.stderr


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def damage_line(store):
    path = store.state / "journal/a.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first[:20] + b"\x00" * 9 + b"\n" + second)


def other_objects(store):
    folder = store.labels.folder / "a/2"
    text = b'{"objects":[{"id":7}],"label_info":null}'
    (folder / "objects.json").write_bytes(text)
    version = json.loads((folder / "version.json").read_bytes())
    del version["digests"]["objects.json"]
    (folder / "version.json").write_text(json.dumps(version))


def no_nifti(store):
    folder = store.labels.folder / "a/2"
    (folder / "mask.nii.gz").write_bytes(gzip.compress(b"no image"))
    version = json.loads((folder / "version.json").read_bytes())
    version["digests"] = {}
    (folder / "version.json").write_text(json.dumps(version))


def other_audit(store):
    (log,) = (store.state / "audit").glob("*.jsonl")
    log.write_bytes(log.read_bytes().replace(b'"train"', b'"saves"'))


def cut_header(store):
    (store.studies / "a.nii.gz").write_bytes(b"\x1f\x8b")


#: How to break it, a part of the sentence, whether a repair makes it sound.
DAMAGE = {
    "others may read it": (lambda s: s.state.chmod(0o755), "Other users of this machine may read", True),
    "a line of a journal": (damage_line, "1 of 2 lines cannot be read (1)", True),
    "a label's mask": (lambda s: cut(s.labels.folder / "a/2/mask.nii.gz"), "is not what was saved", True),
    "a label's objects": (lambda s: cut(s.labels.folder / "a/2/objects.json"), "is not what was saved", True),
    "a label's record": (
        lambda s: cut(s.labels.folder / "a/2/version.json"),
        "version.json is damaged",
        True,
    ),
    "a label's files": (lambda s: (s.labels.folder / "a/2/mask.nii.gz").unlink(), "cannot be read", True),
    "an image that is none": (no_nifti, "mask.nii.gz", True),
    "objects of another label": (other_objects, "the value 1, which is no object", True),
    "a pointer": (lambda s: cut(s.labels.folder / "a/current.json"), "cannot be read, or is wrong", True),
    "a pointer to nothing": (
        lambda s: (s.labels.folder / "a/current.json").write_text('{"number":9}'),
        "cannot be read, or is wrong",
        True,
    ),
    "an impression": (lambda s: cut(s.state / "impressions/a/1.json"), "impression cannot be read", True),
    "weights": (lambda s: cut(s.models.version(2).path), "not the one that was registered", True),
    "weights that are gone": (lambda s: s.models.version(2).path.unlink(), "its file cannot be read", True),
    "a card": (lambda s: cut(s.models.folder / "2/card.json"), "its card cannot be read", True),
    "the champion": (lambda s: cut(s.models.folder / "champion.json"), "no server starts with it", True),
    "the split": (lambda s: cut(s.models.folder / "split.json"), "Restore the file from a backup", False),
    "a training's record": (lambda s: cut(s.state / "training/progress.json"), "record cannot be read", True),
    "a lease": (lambda s: cut(s.state / "leases/a/me"), "It says who had a study open", True),
    "the format": (lambda s: (s.state / "format").write_text("?"), "names the format of this folder", True),
    "the list of studies": (
        lambda s: (s.studies / "datastore_v2.json").write_text("{"),
        "list of studies and labels cannot be read",
        True,
    ),
    "a list of studies that Python reads and MONAI Label does not": (
        lambda s: (s.studies / "datastore_v2.json").write_text(f'{{"deep": {"[" * 300}{"]" * 300}}}'),
        "list of studies and labels cannot be read",
        True,
    ),
    "the audit log": (other_audit, "Line 2 of", False),
    "a version that is gone": (
        lambda s: shutil.rmtree(s.labels.folder / "a/1"),
        "Version 1 of the label of a was saved and is gone",
        False,
    ),
    "another image": (
        lambda s: write_mask(s.studies / "a.nii.gz", np.ones((9, 9, 9), np.uint8), np.eye(4)),
        "other voxels than its image",
        False,
    ),
    "an image that cannot be read": (cut_header, "The image of a cannot be read", False),
}


def test_a_sound_store_is_called_sound_and_nothing_is_changed(store):
    before = store.files()
    status, told = doctor(store)
    assert (status, told["sound"], told["findings"]) == (0, True, [])
    assert {check["what"] for check in told["checks"]} == {"machine", "disk", "studies", "store", "running"}
    assert store.files() == before


def test_the_machine_is_looked_at(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGPET_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(command, "misfits", lambda: ["this one does not fit that one."])
    done = CliRunner().invoke(app, ["doctor", "--json"])
    checks = {check["what"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 1
    assert checks["Python"]["sound"] and checks["weights"]["told"] == "compact.safetensors, whole"
    assert checks["packages"] == {
        "what": "packages",
        "sound": False,
        "told": "this one does not fit that one.",
    }


@pytest.mark.parametrize("full", ["studies", "state"])
def test_a_disk_that_is_full_is_told_of_either_folder(store, monkeypatch, full):
    free = {store.studies: 5 << 30, store.state: 5 << 30} | {getattr(store, full): 1 << 20}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    status, told = doctor(store)
    disks = {check["told"]: check["sound"] for check in told["checks"] if check["what"] == "disk"}
    assert (status, len(disks)) == (1, 2)
    assert [str(getattr(store, full)) in text for text, sound in disks.items() if not sound] == [True]


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_told_and_repaired_and_nothing_is_deleted(store, what):
    break_it, sentence, is_repaired = DAMAGE[what]
    break_it(store)
    broken = store.files()
    status, told = doctor(store)
    assert (status, told["sound"]) == (1, False)
    assert any(sentence in one["what"] and not one["harmless"] for one in told["findings"]), told["findings"]
    assert store.files() == broken  # without --repair nothing is changed

    status, told = doctor(store, "--repair")
    assert (status == 0, told["sound"]) == (is_repaired, is_repaired)
    assert bool(told["repaired"]) == is_repaired
    after = set(store.files().values())
    assert all(content in after for content in broken.values())
    assert doctor(store)[0] == status


def test_what_is_left_after_a_repair_can_be_worked_with(store):
    damage_line(store)
    cut(store.labels.folder / "a/2/mask.nii.gz")
    cut(store.models.version(2).path)
    assert doctor(store, "--repair")[0] == 0
    assert [event["event"] for event in store.journal.read("a")] == ["clicks"]
    assert store.labels.current("a").number == store.labels.counting("a").number == 1
    assert store.models.champion().number == 1
    store.save("a", 3, "final")
    assert store.labels.current("a").number == 2
    assert doctor(store)[0] == 0


#: What a killed server leaves: it costs nothing.
LEFT = {
    "a torn line": lambda s: (s.state / "journal/a.jsonl").open("ab").write(b'{"time":"20'),
    "half a version": lambda s: (s.labels.folder / "a/.x.part").mkdir(),
    "half a file": lambda s: (s.models.folder / ".y.part").write_bytes(b"{"),
    "a version without its pointer": lambda s: (s.labels.folder / "b/current.json").write_text(
        '{"number":1}'
    ),
    "a label on its way": lambda s: (s.final / ".saving-1").write_bytes(b"x"),
    "a label that did not arrive": lambda s: (s.final / "b.nii.gz").unlink(),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_a_killed_server_leaves_is_told_as_harmless_and_cleared(store, what):
    LEFT[what](store)
    status, told = doctor(store)
    assert (status, told["sound"], [one["harmless"] for one in told["findings"]]) == (0, True, [True])
    assert doctor(store, "--repair")[1]["findings"] == []
    assert doctor(store)[1]["findings"] == []


def test_a_label_put_into_the_folder_by_hand_is_told_and_left_alone(store):
    write_mask(store.final / "a.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
    before = store.files()
    (finding,) = doctor(store, "--repair")[1]["findings"]
    assert (finding["harmless"], "put here by hand" in finding["what"]) == (True, True)
    assert store.files().items() >= before.items()


def test_a_label_that_was_saved_on_another_grid_than_its_images_is_damage(store):
    write_mask(store.studies / "a.nii.gz", np.ones(SHAPE, np.uint8), np.diag([4.0, 4, 4, 1]))
    status, told = doctor(store)
    (finding,) = told["findings"]
    assert (status, finding["harmless"]) == (1, False)
    assert "not on the grid of its image: its voxels lie up to 31.5 mm" in finding["what"]


def test_a_final_label_of_nobodys_that_is_on_another_grid_than_its_image_is_damage(store):
    write_mask(store.studies / "c.nii.gz", np.ones(SHAPE, np.uint8), np.diag([4.0, 4, 4, 1]))
    write_mask(store.final / "c.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
    write_mask(store.studies / "d.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
    write_mask(store.final / "d.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
    status, told = doctor(store)
    assert status == 1
    assert [Path(one["path"]).name for one in told["findings"]] == ["c.nii.gz"]


def test_a_final_label_that_waits_for_the_archive_is_told(store):
    (store.state / "sent").mkdir()
    (store.state / "sent/a.json").write_text('{"version": 2}')
    (finding,) = doctor(store)[1]["findings"]
    assert finding["path"].endswith("labels/b/2")


def test_a_backup_never_replaces_a_file_that_is_there(store, tmp_path):
    there = tmp_path / "precious.txt"
    there.write_text("precious")
    asked = ["backup", str(store.studies), "--state", str(store.state), "-o"]
    done = CliRunner().invoke(app, [*asked, str(there)])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "is there already" in done.stderr and there.read_text() == "precious"
    assert CliRunner().invoke(app, [*asked, str(tmp_path / "new.tar")]).exit_code == 0


def test_a_study_whose_name_ends_as_unfinished_files_do_is_kept_and_backed_up(store, tmp_path):
    store.save("a.part", 1, "draft")
    store.accepted.accept("a.part", 1, "en", "f", "i", "me")
    assert doctor(store, "--repair")[1]["findings"] == []
    assert store.labels.counting("a.part").number == 1
    write_backup(store.state, store.studies, tmp_path / "backup.tar")
    restore_backup(tmp_path / "backup.tar", tmp_path / "restored", None)
    assert {"labels/a.part/1/version.json", "impressions/a.part/1.json"} <= {
        str(path.relative_to(tmp_path / "restored")) for path in (tmp_path / "restored").rglob("*")
    }


@pytest.mark.parametrize(
    "keep", [lambda s: s.save("a", 3, "draft"), lambda s: s.models.add(s.studies / "a.nii.gz", {})]
)
def test_a_version_that_is_just_being_written_is_not_backed_up(store, tmp_path, monkeypatch, keep):
    def backed_up(source, target):
        write_backup(store.state, store.studies, tmp_path / "backup.tar")
        with tarfile.open(tmp_path / "backup.tar") as tar:
            assert not [name for name in tar.getnames() if ".part" in name]
        return rename(source, target)

    rename = Path.rename
    monkeypatch.setattr(Path, "rename", backed_up)
    keep(store)
    assert (tmp_path / "backup.tar").exists()


def test_nothing_is_repaired_while_a_server_runs(store):
    cut(store.labels.folder / "a/2/mask.nii.gz")
    hold = (
        "import sys; from lib.store import StateFolder; StateFolder(sys.argv[1]).hold(); print(flush=True); "
    )
    hold += "sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(store.state)], cwd=ROOT, stdin=-1, stdout=-1
    ) as server:
        server.stdout.readline()
        assert doctor(store)[0] == 1
        status, sentence = doctor(store, "--repair")
        assert (status, "stop it" in sentence) == (2, True)
        server.stdin.close()
    assert doctor(store, "--repair")[0] == 0


def test_a_store_of_a_newer_segpet_is_told_and_nothing_of_it_is_repaired(store):
    (store.state / "format").write_text("7\n")
    cut(store.labels.folder / "a/2/mask.nii.gz")
    before = store.files()
    status, told = doctor(store)
    (finding,) = told["findings"]
    assert (status, finding["harmless"], "A newer SegPET wrote" in finding["what"]) == (1, False, True)
    status, sentence = doctor(store, "--repair")
    assert (status, sentence.count("\n"), "update SegPET" in sentence) == (2, 1, True)
    assert store.files() == before


def test_what_cannot_be_checked_is_bad_usage(tmp_path):
    for asked in (["nowhere"], [str(tmp_path), "--state", str(tmp_path / "no")], ["--repair"]):
        done = CliRunner().invoke(app, ["doctor", *asked])
        assert done.exit_code == 2, done.output
        assert done.stderr.count("\n") == 1


def test_people_are_told_in_lines_they_can_act_on(store):
    cut(store.labels.folder / "a/2/mask.nii.gz")
    done = CliRunner().invoke(app, ["doctor", str(store.studies), "--state", str(store.state)])
    assert done.exit_code == 1
    assert (
        "!!" in done.stdout
        and "With --repair: it is moved to quarantine/. Version 1 counts then" in done.stdout
    )
    assert done.stdout.endswith("Not sound: see the lines with !!.\n")
