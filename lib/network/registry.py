"""Which weights there are: the official ones, and what lies in the folders of weights."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.network.errors import CheckpointError

logger = logging.getLogger("segpet")

#: Says where the user's own folder of weights is, where that is not ~/.segpet/weights.
FOLDER_VARIABLE = "SEGPET_WEIGHTS"
#: Of files with one name, the first of these counts: it loads fastest.
SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class OfficialWeights:
    """Published weights that a user can download; none come with SegPET.

    Args:
        name: what they are called here.
        repository: on the Hugging Face hub.
        file: in the repository.
        keys: tensors that the file must hold.
        description: what they are for.
        licence: what is known of their licence.
    """

    name: str
    repository: str
    file: str
    keys: int
    description: str
    licence: str


_SEGANYPET = "YichiZhang98/SegAnyPET"
_LICENCE = "on their model card; read it there before you use them"

#: The first of these that is in the user's folder is what a server takes by itself.
OFFICIAL = (
    OfficialWeights(
        "seganypet-v2", _SEGANYPET, "seganypet_v2.pth", 324, "SegAnyPET, second version", _LICENCE
    ),
    OfficialWeights(
        "seganypet-v1", _SEGANYPET, "seganypet_v1.pth", 324, "SegAnyPET, first version", _LICENCE
    ),
    OfficialWeights(
        "seganypet-lesion", _SEGANYPET, "seganypet_lesion.pth", 324, "SegAnyPET for lesions", _LICENCE
    ),
)


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights in a folder.

    Args:
        name: its stem.
        path: where it is.
        is_own: it lies in the user's folder, not among those that came along.
        official: which published weights it is by its name; None for others.
    """

    name: str
    path: Path
    is_own: bool
    official: OfficialWeights | None


def weights_folder() -> Path:
    """Return the user's folder of weights, which need not exist: `$SEGPET_WEIGHTS` or `~/.segpet/weights`."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser().absolute() if named else Path.home() / ".segpet" / "weights"


def find_weights(bundled: Sequence[Path] = ()) -> tuple[WeightsFile, ...]:
    """Return the files of weights in the user's folder, then those in the bundled ones, by name.

    Args:
        bundled: folders with weights that came along; a file of the user's hides one of the same name.
    """
    found: dict[str, WeightsFile] = {}
    for folder in (weights_folder(), *bundled):
        for path in _files(folder):
            official = _official(path.stem)
            is_own = folder == weights_folder()
            found.setdefault(_plain(path.stem), WeightsFile(path.stem, path, is_own, official))
    return tuple(found.values())


def default_weights(bundled: Sequence[Path] = ()) -> WeightsFile | None:
    """Return what a server takes when nobody says which: official weights, else bundled ones, else None.

    Other files in the user's folder are taken by name only: nothing is known of what they were trained for.
    Official weights that cannot be used are told in the log and returned all the same: whoever loads them
    stops, which is better than that other weights answer in their place.
    """
    from lib.network.inspection import fits  # which needs this module

    files = find_weights(bundled)
    own = {file.official.name: file for file in files if file.is_own and file.official}
    ours = next((own[official.name] for official in OFFICIAL if official.name in own), None)
    if ours and not fits(ours.path):
        logger.warning(
            "%s is what counts without --model, and cannot be used: move it elsewhere; "
            "`segpet weights get %s` then fetches it anew.",
            ours.path,
            ours.name,
        )
    return ours or next((file for file in files if not file.is_own), None)


def resolve_weights(path_or_name: str | Path, bundled: Sequence[Path] = ()) -> Path:
    """Return the file that a path or a name means.

    A name is that of a file in a folder of weights, without its suffix; capitals and `-` for `_` do not
    matter.
    What is neither a file nor such a name is returned as it is: whoever opens it says that it is not there.

    Raises:
        CheckpointError: the name of official weights that are not in the folder yet.
    """
    path = Path(path_or_name).expanduser()
    if path.is_file() or len(path.parts) != 1:
        return path
    wanted = _plain(str(path_or_name))
    for file in find_weights(bundled):
        if wanted in (_plain(file.name), _plain(file.path.name)):
            return file.path
    if (official := official_named(str(path_or_name))) is not None:
        raise CheckpointError(
            f"{official.name} is not here yet: run `segpet weights get {official.name}`, or put the file "
            f"{official.file} into {weights_folder()}."
        )
    return path


def official_named(name: str) -> OfficialWeights | None:
    """Return the official weights of a name or file name; capitals and `-` for `_` do not matter."""
    return next((one for one in OFFICIAL if _plain(name) in (_plain(one.name), _plain(one.file))), None)


def _official(stem: str) -> OfficialWeights | None:
    return next((one for one in OFFICIAL if _plain(stem) == _plain(one.name)), None)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _files(folder: Path) -> Iterator[Path]:
    """Return a folder's files of weights by name; of equal stems the one that loads fastest first."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()]
    except OSError:  # no such folder, or a closed one: no weights
        return iter(())
    return iter(sorted(paths, key=lambda path: (_plain(path.stem), SUFFIXES.index(path.suffix), path.name)))
