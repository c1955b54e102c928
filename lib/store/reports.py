"""Accepted impressions: which findings became which impression, kept with the version of the label."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from lib.store.atomic import write_atomic
from lib.store.errors import StoreError
from lib.store.locks import locked
from lib.store.records import file_name, from_json, to_json
from lib.store.state import make_private


@dataclass(frozen=True)
class AcceptedImpression:
    """A pair of findings and impression that a reader accepted. It is never changed afterwards.

    Args:
        number: of the study's accepted impressions, from 1.
        label: version of the label that the findings belong to; 0 where the study had none.
        language: "en" or "zh".
        findings: as they were accepted.
        impression: likewise.
        drafted: what the model had written; "" where the reader wrote it alone.
        model: what wrote it; "" likewise.
        author: the client that accepted it.
        time: UTC, ISO 8601.
    """

    number: int
    label: int
    language: str
    findings: str
    impression: str
    drafted: str
    model: str
    author: str
    time: str


class AcceptedImpressions:
    """The accepted impressions of all studies: `STUDY/NUMBER.json`, whole or not at all.

    Args:
        folder: private; made where absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_private(folder)

    def accept(
        self,
        study: str,
        label: int,
        language: str,
        findings: str,
        impression: str,
        author: str,
        drafted: str = "",
        model: str = "",
    ) -> AcceptedImpression:
        """Keep a pair as the study's newest.

        Raises:
            StoreError: it cannot be written; nothing has changed then.
        """
        folder = self.folder / file_name(study)
        make_private(folder)
        with locked(folder):
            number = max(_numbers(folder), default=0) + 1
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            accepted = AcceptedImpression(
                number, label, language, findings, impression, drafted, model, author, time
            )
            write_atomic(folder / f"{number}.json", to_json(asdict(accepted)))
        return accepted

    def get(self, study: str, number: int) -> AcceptedImpression | None:
        """Return one by its number; None where there is none."""
        file = self.folder / file_name(study) / f"{number}.json"
        return read_impression(file) if file.exists() else None

    def newest(self, study: str) -> AcceptedImpression | None:
        """Return the one accepted last; None where there is none."""
        folder = self.folder / file_name(study)
        number = max(_numbers(folder), default=0)
        return read_impression(folder / f"{number}.json") if number else None

    def text_for(self, study: str, label: int) -> str:
        """Return the impression accepted last, where it belongs to this version of the label; else ""."""
        newest = self.newest(study)
        return newest.impression if newest and newest.label == label else ""

    def count(self) -> int:
        """Return how many studies have an accepted impression."""
        return sum(bool(_numbers(folder)) for folder in self.folder.iterdir())

    def all_newest(self) -> Iterator[tuple[str, AcceptedImpression]]:
        """Yield the newest of each study, with the name of its folder: pairs to learn from."""
        for folder in sorted(self.folder.iterdir()):
            if number := max(_numbers(folder), default=0):
                yield folder.name, read_impression(folder / f"{number}.json")


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]


def read_impression(path: Path) -> AcceptedImpression:
    """Return the impression in a file; StoreError where it is damaged."""
    try:
        return AcceptedImpression(**from_json(path.read_bytes()))
    except (StoreError, TypeError) as error:
        raise StoreError(f"The file {path} is damaged: restore it from a backup.") from error
