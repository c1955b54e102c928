"""A store in one file, taken while servers write in it, and put back into an empty place.

What points is read before what it points to: labels in the studies folder, the audit log, journals,
impressions and the pointers, and only then the versions. So a copy may hold a version that nothing names yet,
and never a name without its version; `lib.store.checkup` calls that sound. A journal that grows meanwhile
ends in a line that is not finished, which readers leave out.

The last member, `manifest.json`, has the SHA-256 of all others: to tar, a file that is cut off between two
members looks whole.
"""

import hashlib
import io
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lib.store.atomic import is_unfinished, sync, told_of
from lib.store.errors import StoreError
from lib.store.records import digest_of_file, from_json, to_json
from lib.store.state import make_private

#: Of the state folder: what is a copy of something, can be made anew, or is of the moment.
_LEFT_OUT = ("archive", "leases", "results", "uploads", "weights", "training/regions", "server.lock")
_POINTERS = ("current.json", "champion.json")
_LIST = "datastore_v2.json"
_MANIFEST = "manifest.json"


def write_backup(state: Path, studies: Path | None, file: Path) -> int:
    """Write what a team has made into a tar file (mode 0600), which takes its name when it is whole.

    Args:
        state: the state folder.
        studies: the studies folder, whose labels are taken too, and not its images; None: there is none.
        file: to be written.

    Returns:
        How many files are in it.

    Raises:
        StoreError: a link in the store leads nowhere; nothing is written then.
        OSError: it cannot be written or read.
    """
    with told_of(file):
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    part = Path(name)
    digests: dict[str, str] = {}
    try:
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w", dereference=True) as tar:
            for path, within in _files(state, studies):
                try:
                    digests[within] = _add(tar, path, within)
                except FileNotFoundError as error:
                    if path.is_symlink():
                        raise StoreError(
                            f"{path} is a link that leads nowhere, and what it led to may be needed: "
                            "mend it, or move it away."
                        ) from error
                    continue  # of the moment: it had its final name already, and was moved on
            content = to_json({"digests": digests}).encode()
            member = tarfile.TarInfo(_MANIFEST)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        sync(part)
        part.replace(file)
        sync(file.parent)
    finally:
        part.unlink(missing_ok=True)
    return len(digests)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> str:
    """Add a file to a tar file; returns the SHA-256 of what was added, which may grow meanwhile."""
    with path.open("rb") as file:
        member = tar.gettarinfo(arcname=name, fileobj=file)
        reader = _Digesting(file)
        tar.addfile(member, reader)
    return reader.digest.hexdigest()


class _Digesting(io.RawIOBase):
    """A file that is read once, and the SHA-256 of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def restore_backup(file: Path, state: Path, studies: Path | None) -> tuple[int, bool]:
    """Put a backup's files back.

    Args:
        file: that `write_backup` wrote.
        state: the state folder, not there yet or empty.
        studies: the studies folder, with no label in it; None: labels of the folder are left out.

    Returns:
        How many files it has, and whether it says what was backed up; one that does not has an end at least.

    Raises:
        StoreError: there is something already, or the file is no backup, damaged or cut off; nothing has
            changed then.
        OSError: it cannot be written; nothing has changed then.
    """
    if state.exists() and any(state.iterdir()):
        raise StoreError(
            f"There is something in {state} already: move it away, or name another state folder."
        )
    if studies and any(
        path.is_file() and not path.name.startswith(".") for path in _below(studies / "labels")
    ):
        raise StoreError(f"There are labels in {studies / 'labels'} already: move them away first.")
    make_private(state.parent)
    with told_of(state):
        part = Path(tempfile.mkdtemp(dir=state.parent, prefix=".", suffix=".part"))
    try:
        try:
            count, listed = _unpack(file, part, state)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OverflowError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's fault; what a compressed file does not fit has no number
            raise StoreError(f"{file} is no backup of SegPET, or is cut off or damaged.") from error
        _place(part, state, studies)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return count, listed


def _unpack(file: Path, part: Path, state: Path) -> tuple[int, bool]:
    """Unpack a backup into an empty folder and look whether all of it is there; see `restore_backup`."""
    with tarfile.open(file) as tar:
        ours = [one for one in tar.getmembers() if one.name.split("/")[0] in ("state", "studies")]
        # Backups of before there was a manifest have hard links, which lead to other members.
        members = [one for one in ours if one.isfile() or one.islnk()]
        if not any(one.name.startswith("state/") for one in members):
            raise StoreError(f"{file} is no backup of SegPET: there is no store in it.")
        if len(members) < sum(not one.isdir() for one in ours):
            raise StoreError(
                f"{file} has links whose files are not in it: what else it has, `tar -xf` unpacks."
            )
        digests = _listed(tar)
        if digests is None and not _is_ended(tar):
            raise StoreError(f"{file} is cut off or damaged: files at its end are missing. Take another one.")
        with told_of(state):
            tar.extractall(part, members, filter="data")
    if digests is not None:
        found = {one.name: digest_of_file(part / one.name) for one in members}
        wrong = [name for name in found.keys() | digests.keys() if found.get(name) != digests.get(name)]
        if wrong:
            raise StoreError(
                f"{file} is damaged: {len(wrong)} of {len(digests)} files are missing or are not what was "
                "backed up. Take another one."
            )
    return len(members), digests is not None


def _listed(tar: tarfile.TarFile) -> dict[str, str] | None:
    """Return the digests that a backup says of its files; None where it has no manifest."""
    manifest = next((one for one in tar.getmembers() if one.name == _MANIFEST), None)
    if manifest is None:
        return None
    content = tar.extractfile(manifest) if manifest.isfile() else None
    try:
        return dict(from_json(content.read())["digests"]) if content else {}
    except (StoreError, KeyError, TypeError, ValueError) as error:
        raise tarfile.ReadError("its manifest is damaged") from error


def _is_ended(tar: tarfile.TarFile) -> bool:
    """Whether a tar file, all of whose members were read, has the two blocks of zeros at its end."""
    assert tar.fileobj
    tar.fileobj.seek(tar.offset)
    end = tar.fileobj.read(tarfile.RECORDSIZE)
    return len(end) >= 2 * tarfile.BLOCKSIZE and not end.strip(b"\0")


def _place(part: Path, state: Path, studies: Path | None) -> None:
    """Move what was unpacked to where it belongs, the state folder last and at once; all of it or nothing."""
    for path in sorted((part / "state").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        sync(path)
    (part / "state").chmod(0o700)
    files = [path for path in sorted((part / "studies").rglob("*")) if path.is_file()] if studies else []
    targets = {path: studies / path.relative_to(part / "studies") for path in files if studies}
    # The studies may be on another disk, which may be full: names are given when everything is there.
    beside = {target: target.with_name(f".{at}.part") for at, target in enumerate(targets.values())}
    placed: list[Path] = []
    # MONAI Label's list, which a server that was started once has made already.
    before = {target: target.read_bytes() for target in beside if target.exists()}
    try:
        for path, target in targets.items():
            with told_of(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                placed.append(beside[target])
                shutil.copyfile(path, beside[target])
                sync(beside[target])
        for target, copy in beside.items():
            copy.replace(target)
            placed.append(target)
        with told_of(state):
            if state.exists():
                state.rmdir()
            (part / "state").rename(state)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        for path, content in before.items():
            path.write_bytes(content)
        raise
    for folder in {state.parent, *(target.parent for target in targets.values())}:
        sync(folder)


def _files(state: Path, studies: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield files and their names in the backup, what points before what it points to."""
    if studies and studies.is_dir():
        for path in [studies / _LIST, *_below(studies / "labels")]:
            if _is_there(path) and not path.name.startswith("."):
                yield path, f"studies/{path.relative_to(studies)}"
    pointers = [path for path in _below(state) if path.name in _POINTERS]
    first = [path for name in ("audit", "journal", "impressions", "sent") for path in _below(state / name)]
    taken = set()
    # The rest is listed only when it is its turn: what came meanwhile is to be in it.
    for path in [*first, *pointers]:
        taken.add(path)
        yield from _kept(path, state)
    for path in _below(state):
        if path not in taken and path.name not in _POINTERS:
            yield from _kept(path, state)


def _kept(path: Path, state: Path) -> Iterator[tuple[Path, str]]:
    within = path.relative_to(state)
    unfinished = any(is_unfinished(one) for one in (within, *within.parents))
    left_out = any(within.is_relative_to(name) for name in _LEFT_OUT) or within.name == "lock"
    if not unfinished and not left_out and _is_there(path):
        yield path, f"state/{within}"


def _is_there(path: Path) -> bool:
    """Whether it is a file, or a link that leads nowhere: what is missing there must not go unnoticed."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _below(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """List what is below a folder and no folder itself, also where links lead: a store may be moved so."""
    place = folder.resolve()
    if place in above:
        return []
    try:
        inside = sorted(folder.iterdir())
    except FileNotFoundError:
        return []  # there is none, or it was of the moment
    return [path for one in inside for path in (_below(one, (*above, place)) if one.is_dir() else [one])]
