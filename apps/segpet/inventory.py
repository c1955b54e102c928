"""What the server says of the studies folder when it starts: what is served, and what is not, and why."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from lib.pet.image_files import EXTENSIONS
from lib.pet.organs import FOLDER as ORGAN_MAPS
from lib.pet.sidecar import sidecar_of

#: What the server itself keeps among the studies, and the organ maps that belong to them.
_OURS = ("labels", "datastore_v2.json", ORGAN_MAPS)


def inventory(folder: Path, served: Collection[str]) -> dict[str, list[str]]:
    """Return the names in a studies folder that are no studies, by the reason why not, but for hidden ones.

    Args:
        folder: the studies folder.
        served: file names of the studies.
    """
    sidecars = {sidecar_of(Path(name)).name for name in served}
    stems = {_stem(name) for name in served}
    skipped: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith(".") or name in _OURS or name in served or name in sidecars:
            continue
        if path.is_dir():
            reason = "a folder without a DICOM PET image"
        elif name.lower().endswith(".dcm"):
            reason = "a DICOM file (put each study in a folder of its own)"
        elif not name.lower().endswith(EXTENSIONS):
            reason = f"no image ({', '.join(EXTENSIONS)})"
        elif _stem(name) in stems:
            reason = "hidden by another file of the same name with another ending (rename one)"
        else:
            reason = "an image whose name cannot be used (the ending is in lower case, the rest is UTF-8)"
        skipped[reason].append(name.encode(errors="replace").decode())
    return dict(skipped)


def in_words(count: int, skipped: dict[str, list[str]], with_names: bool) -> list[str]:
    """Return lines for whoever starts the server.

    Args:
        count: how many studies are served.
        skipped: as `inventory` returns it.
        with_names: name some files, which may name patients: for a person's eyes, not for a log.
    """
    lines = [f"{count} {'study' if count == 1 else 'studies'}{'' if count else ': nothing to label yet'}."]
    for reason, names in skipped.items():
        named = f": {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" if with_names else ""
        lines.append(f"Not served: {len(names)} x {reason}{named}")
    return lines


def _stem(name: str) -> str:
    ending = next((end for end in EXTENSIONS if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)]
