"""Versions of labels: whole, as they were saved, readable, and one of them pointed to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from lib.pet import VolumeError, read_mask
from lib.store.checkup.finding import Aside, Finding
from lib.store.errors import StoreError
from lib.store.labels import LabelVersion, point_to, read_version
from lib.store.records import from_json


def check_labels(state: Path) -> Iterator[Finding]:
    """Find versions that are damaged, and pointers that name none or not the newest."""
    for folder in sorted(path for path in (state / "labels").glob("*") if path.is_dir()):
        sound: list[int] = []
        bad: list[tuple[Path, str]] = []
        for path in sorted(folder.iterdir()):
            if path.name.isdecimal():
                why = fault_of(path)
                if why:
                    bad.append((path, why))
                else:
                    sound.append(int(path.name))
        for path, why in bad:
            rest = f"Version {max(sound)} counts" if sound else "The study has no label"
            yield Finding(
                path,
                f"Version {path.name} of the label of {unquote(folder.name)} is damaged: {why}.",
                f"It is moved to quarantine/. {rest} then, unless a backup has this one.",
                mend=_without(folder, path),
            )
        if not bad and sound:
            yield from _pointer(folder, max(sound))
        elif not bad and (folder / "current.json").exists():
            yield Finding(folder / "current.json", "This names a version, and there is none.")


def fault_of(folder: Path) -> str:
    """Return what is wrong with a version of a label, "" where nothing is."""
    try:
        version = read_version(folder)
        version.check()
        objects = version.objects().get("objects")
        values = _values(version)
    except (StoreError, VolumeError) as error:
        return str(error).removesuffix(".")
    if version.number != int(folder.name):
        return f"it says that it is version {version.number}"
    if values and isinstance(objects, list):
        known = {one.get("id") for one in objects if isinstance(one, dict)}
        if unknown := sorted(values - known):
            return f"its instance map has the value {unknown[0]}, which is no object"
    return ""


def _values(version: LabelVersion) -> set[int]:
    """Return the values of the instance map, without 0; both masks are read, and must be of one grid."""
    mask, _ = read_mask(version.mask)
    if version.instances is None:
        return set()
    instances, _ = read_mask(version.instances)
    if instances.shape != mask.shape:
        raise StoreError("its two masks are of different grids")
    return set(np.flatnonzero(np.bincount(instances.ravel(order="K"))).tolist()) - {0}


def _pointer(folder: Path, newest: int) -> Iterator[Finding]:
    study, path = unquote(folder.name), folder / "current.json"
    try:
        named = from_json(path.read_bytes()).get("number")
    except FileNotFoundError:
        named = 0
    except (StoreError, OSError):
        named = None
    if named == newest:
        return
    if isinstance(named, int) and named < newest:
        what = f"Version {newest} of the label of {study} is whole, but its author may not have been told."
    else:
        what = f"What says which version of the label of {study} was saved last cannot be read, or is wrong."

    def mend(aside: Aside) -> None:
        if path.exists():
            aside.copy(path)
        point_to(folder, newest)

    harmless = isinstance(named, int) and named < newest
    yield Finding(path, what, f"It says version {newest} then.", harmless, mend)


def _without(folder: Path, path: Path) -> Callable[[Aside], None]:
    def mend(aside: Aside) -> None:
        aside.move(path)
        left = [int(one.name) for one in folder.iterdir() if one.name.isdecimal()]
        if left:
            point_to(folder, max(left))
        elif (folder / "current.json").exists():
            aside.move(folder / "current.json")

    return mend
