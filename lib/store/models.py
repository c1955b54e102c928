"""The model registry: versions of weights, which one is the champion, and the patients kept apart."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.store.atomic import sync, write_atomic
from lib.store.errors import StoreError
from lib.store.locks import locked
from lib.store.records import from_json, to_json
from lib.store.state import make_private

#: Share of the patients that are kept apart; of fewer patients so many, where that is not more than a third.
_SHARE, _ENOUGH = 0.2, 5
#: Files of the registry: in each version, and of all.
_CARD, CHAMPION, SPLIT = "card.json", "champion.json", "split.json"


@dataclass(frozen=True)
class Version:
    """One version of weights. Its files are never changed afterwards."""

    number: int
    path: Path
    """The weights (safetensors), or an adapter's folder."""
    digest: str
    """SHA-256 of the file, which is the digest of the network that is loaded from it; of a folder's files."""
    time: str
    """When it was registered: UTC, ISO 8601, seconds."""
    card: dict[str, Any]
    """What it was made from, how, and what it is worth; as `add` was given it."""

    @property
    def name(self) -> str:
        """What people call it, and the name of the network loaded from its file."""
        return self.path.stem


@dataclass(frozen=True)
class Split:
    """Studies by what they are for: no patient has some in both."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


class Models:
    """The versions of one state folder's weights, in `NUMBER/`; threads and processes may share it.

    `champion.json` has the numbers of the champions, the present one last, so that a rollback finds the one
    before. Without any, the weights that the server was started with answer. `split.json` has the patients.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)

    def add(self, weights: Path, card: Mapping[str, Any]) -> Version:
        """Keep a copy of weights and their card as a new version, which is not the champion yet.

        Args:
            weights: a file, or a folder of files that belong together.
            card: see `Version.card`.

        Raises:
            StoreError: no such weights, or a card that is not JSON; nothing has changed then.
        """
        files = sorted(weights.iterdir()) if weights.is_dir() else [weights]
        if not files or not all(file.is_file() for file in files):
            raise StoreError(f"There are no weights to keep: {weights} is neither a file nor holds files.")
        card_json = to_json(dict(card))
        with locked(self.folder):
            number = self._add(weights, files, card_json)
        return self.version(number)

    def challenge(
        self, weights: Path, card: Mapping[str, Any], champion: Version | None, too_late: Mapping[str, Any]
    ) -> Version:
        """Add a version and make it the champion, at once, unless the champion has changed meanwhile.

        Args:
            weights: a file.
            card: see `Version.card`.
            champion: the one that the weights were measured against.
            too_late: what the card says instead where that one is not the champion any more.

        Raises:
            StoreError: as `add`.
        """
        with locked(self.folder):
            champions = self.champions()
            is_still = champions[-1:] == ([champion.number] if champion else [])
            number = self._add(weights, [weights], to_json({**card, **({} if is_still else too_late)}))
            if is_still:
                self._write_champions([*champions, number])
        return self.version(number)

    def numbers(self) -> list[int]:
        """The numbers of all versions, oldest first; a version's card may be damaged."""
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return [self.version(number) for number in self.numbers()]

    def version(self, number: int) -> Version:
        """A version by its number; StoreError where there is none."""
        folder, known = self.folder / str(number), self.numbers()
        if number not in known:
            there = ", ".join(map(str, known)) or "none"
            raise StoreError(f"There is no version {number} of the weights; there are: {there}.")
        record = _read(folder / _CARD)
        try:
            return Version(
                number=int(record["number"]),
                path=folder / str(record["weights"]),
                digest=str(record["digest"]),
                time=str(record["time"]),
                card=dict(record["card"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder / _CARD) from error

    def damage(self, number: int) -> str:
        """What is wrong with a version, in a few words; "" where its weights are the registered ones."""
        try:
            version = self.version(number)
            digest = digest_of(version.path)
        except StoreError:
            return "its card cannot be read"
        except OSError as error:
            return f"its file cannot be read ({error.strerror})"
        return "" if digest == version.digest else "its file is not the one that was registered"

    def fault(self, number: int) -> str:
        """A sentence where a version is damaged; else ""."""
        damaged = f"Version {number} of the weights is damaged: restore it from a backup."
        return damaged if self.damage(number) else ""

    def champions(self) -> list[int]:
        """The numbers of the champions, the present one last; StoreError where that cannot be read."""
        path = self.folder / CHAMPION
        try:
            return [int(number) for number in _list_of(path, "champions")] if path.exists() else []
        except (TypeError, ValueError) as error:
            raise _damaged(path) from error

    def champion(self) -> Version | None:
        """The version whose weights answer; None where it is those that the server was started with."""
        champions = self.champions()
        return self.version(champions[-1]) if champions else None

    def promote(self, number: int) -> Version:
        """Make a version the champion; StoreError where there is none of that number, or it is damaged."""
        with locked(self.folder):
            version, champions = self.version(number), self.champions()
            if fault := self.fault(number):
                raise StoreError(fault)
            if champions[-1:] != [number]:
                self._write_champions([*champions, number])
        return version

    def rollback(self) -> Version | None:
        """Make the champion before the present one that is not damaged the champion again.

        Returns:
            The champion from now on; None where it is the weights that the server was started with.

        Raises:
            StoreError: no version is the champion.
        """
        with locked(self.folder):
            champions = self.champions()
            if not champions:
                raise StoreError("There is nothing to roll back: no trained version is the champion.")
            champions.pop()
            while champions and self.fault(champions[-1]):
                champions.pop()
            self._write_champions(champions)
        return self.champion()

    def split(
        self,
        patient_of: Mapping[str, str],
        trusted: Collection[str] | None = None,
        is_measurable: Callable[[str], bool] = lambda _: True,
        fewest: int = 3,
    ) -> Split:
        """Part studies into those to learn from and those to measure on, by patient.

        A fifth of the patients is kept apart; at least five where that is not more than a third of them, and
        `fewest` where it is not more than half. Whoever was kept apart stays so. Where that is too few,
        patients are added that no call has let be learnt from; whoever may have been learnt from is never
        kept apart. One caller at a time.

        Args:
            patient_of: by study, whose it is.
            trusted: studies with a label that somebody vouches for; only their patients can be drawn. None:
                all are.
            is_measurable: whether something is outlined in a study, and can be read; asked of trusted studies
                of patients that are kept apart, or may be. From others of these nothing must be learnt.
            fewest: see above.

        Raises:
            StoreError: fewer than two patients with a trusted label at the first call, or nobody is left to
                learn from.
        """
        path, there = self.folder / SPLIT, set(patient_of.values())
        sure = {study: patient_of[study] for study in (patient_of if trusted is None else trusted)}
        added, learnt = _read_split(path, there) if path.exists() else ({}, set())
        asked = [study for study, patient in sure.items() if patient not in learnt]
        measurable = {sure[study] for study in asked if is_measurable(study)}
        count = len(measurable) + len(learnt & set(sure.values()))
        wanted = max(round(_SHARE * count), min(_ENOUGH, count // 3), min(fewest, count // 2))
        # The order of their names must not decide; the same patients give the same split.
        order = sorted(measurable - added.keys(), key=lambda one: hashlib.sha256(one.encode()).digest())
        time = datetime.now(UTC).isoformat(timespec="seconds")
        added |= dict.fromkeys(order[: max(0, wanted - len(measurable & added.keys()))], time)
        if not added:
            raise _too_few(len(sure), len(set(sure.values())))
        apart = tuple(study for study, patient in patient_of.items() if patient in added)
        rest = tuple(study for study, patient in patient_of.items() if patient not in added)
        if not rest:
            raise StoreError(
                "All labelled studies are of patients that are kept apart to measure on: label another "
                "patient."
            )
        # Nothing can be learnt from whoever has nothing outlined: once there is, they may be kept apart.
        learnt |= {
            patient
            for study, patient in patient_of.items()
            if patient not in added and (study not in sure or patient in measurable)
        }
        record = {"validation": sorted(added), "added": added, "learnt": sorted(learnt)}
        with locked(self.folder):
            write_atomic(path, to_json(record))
        return Split(rest, apart)

    def _add(self, weights: Path, files: list[Path], card_json: str) -> int:
        """Keep a copy of files, which `weights` is or holds, as a new version; return its number."""
        number = max(self.numbers(), default=0) + 1
        part = Path(tempfile.mkdtemp(dir=self.folder, prefix=".", suffix=".part"))
        try:
            copy = part / f"version-{number}{weights.suffix if weights.is_file() else ''}"
            if weights.is_dir():
                copy.mkdir(mode=0o700)
            for file in files:
                target = copy / file.name if weights.is_dir() else copy
                shutil.copyfile(file, target)
                target.chmod(0o600)
                sync(target)
            if weights.is_dir():
                sync(copy)
            record = {
                "number": number,
                "weights": copy.name,
                "digest": digest_of(copy),
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "card": from_json(card_json),
            }
            write_atomic(part / _CARD, to_json(record))
            part.rename(self.folder / str(number))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        sync(self.folder)
        return number

    def _write_champions(self, numbers: list[int]) -> None:
        write_atomic(self.folder / CHAMPION, to_json({"champions": numbers}))


def digest_of(weights: Path) -> str:
    """Return the SHA-256 of a file of weights, or of a folder's files one after the other, by name."""
    digest = hashlib.sha256()
    for file in sorted(weights.iterdir()) if weights.is_dir() else [weights]:
        with file.open("rb") as content:
            hashlib.file_digest(content, lambda: digest)
    return digest.hexdigest()


def _read_split(path: Path, there: set[str]) -> tuple[dict[str, str], set[str]]:
    """Return who is kept apart, each with the time of the training that added them, and who was learnt from.

    A split of before that was kept says neither: then all who are there now may have been learnt from.
    """
    record = _read(path)
    added = dict.fromkeys(_list_of(path, "validation"), str(record.get("time", "")))
    if "learnt" not in record:
        return added, there - added.keys()
    if not isinstance(times := record.get("added"), dict):
        raise _damaged(path)
    return added | times, set(_list_of(path, "learnt"))


def _too_few(studies: int, patients: int) -> StoreError:
    why = "A training needs final labels of at least two patients with something outlined: one is kept apart."
    if studies > patients == 1:
        why += (
            f" All {studies} studies have the same patient ID: where they are of several patients, give each "
            "patient an ID of their own."
        )
    return StoreError(why)


def _list_of(path: Path, key: str) -> list[Any]:
    found = _read(path).get(key)
    if not isinstance(found, list):
        raise _damaged(path)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return from_json(path.read_bytes())
    except (StoreError, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> StoreError:
    return StoreError(f"The file {path} is damaged or gone: restore it from a backup.")
