"""A scratch world for a server that is to be attacked, and what is seen of it before and after."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What lies outside the studies and must never be told to a client.
CANARY = "canary-5f1d2c"
#: What changes in a repository without a server's doing.
_NOT_OURS = {
    ".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """A folder with all that a server may reach.

    Args:
        folder: holds `studies`, `state`, the server's `home` and `tmp`, `client` for the attacker's own
            files, and beside them what no request may read or change.
    """

    folder: Path

    @property
    def studies(self) -> Path:
        """Two digital patients as NIfTI, and one as a DICOM folder."""
        return self.folder / "studies"

    @property
    def state(self) -> Path:
        """The server's state folder."""
        return self.folder / "state"

    @property
    def client(self) -> Path:
        """Where the attacker writes."""
        return self.folder / "client"

    def environment(self) -> dict[str, str]:
        """Return the environment in which everything of the server's but the viewer lies in this world."""
        from apps.segpet.viewer_package import FOLDER_VARIABLE, viewer_folder

        return {
            FOLDER_VARIABLE: str(viewer_folder().parent),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "SEGPET_WEIGHTS": str(self.folder / "weights"),
        }

    def seen(self) -> dict[str, tuple[int, int]]:
        """Return size and time of every file that no request may change or add.

        That is the repository, and of this world all but what is made of labels: the state folder (of which
        versions of labels that are there must stay), MONAI Label's list and `labels/` in the studies folder.
        """
        ours = {self.state, self.client, self.studies / "labels"}
        own_files = {self.studies / "datastore_v2.json", self.studies / ".lock", self.folder / "server.log"}
        seen = {}
        for top in (ROOT, self.folder):
            for path in _files(top, ours):
                if path not in own_files:
                    seen[str(path)] = _told(path)
        return seen

    def versions(self) -> dict[str, tuple[int, int]]:
        """Return size and time of the files of all saved versions of labels."""
        found = (self.state / "labels").glob("*/[0-9]*/*")
        return {str(path): _told(path) for path in found if path.is_file()}


def make_world(folder: Path) -> World:
    """Write digital patients, and what lies beside them."""
    import nibabel

    from lib.export.pet_series import SeriesUIDs, VolumeSeries
    from lib.pet import make_phantom

    world = World(folder)
    for part in ("studies/of-dicom", "home", "tmp", "client", "weights"):
        (folder / part).mkdir(parents=True)
    for name, seed in (("one", 1), ("two", 2)):
        volume = make_phantom(seed, (48, 48, 60), (8.0, 8.0, 10.0)).volume
        nibabel.save(nibabel.Nifti1Image(volume.array, volume.affine), world.studies / f"{name}.nii.gz")
        (world.studies / f"{name}.json").write_text('{"Units": "g/mL"}')
    series = VolumeSeries(volume, "of-dicom", SeriesUIDs("of-dicom", "fuzz"))
    for k in range(volume.shape[2]):
        (world.studies / f"of-dicom/{k:03}.dcm").write_bytes(series.file(k))
    nibabel.save(nibabel.Nifti1Image(volume.array, volume.affine), folder / "outside.nii.gz")
    for place in (folder, folder / "home", folder / "tmp"):
        (place / "outside.txt").write_text(CANARY)
    return world


def changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    """Return the files that are new, gone or other, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _files(top: Path, but: set[Path]) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in _NOT_OURS and Path(folder, name) not in but]
        yield from (Path(folder, name) for name in [*folders, *files])


def _told(path: Path) -> tuple[int, int]:
    try:
        known = path.lstat()
    except FileNotFoundError:
        return (-1, -1)
    # The time of a folder changes with what is left out in it.
    return (0, 0) if path.is_dir() else (known.st_size, known.st_mtime_ns)
