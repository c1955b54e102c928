"""What was saved and is gone: SegPET deletes none of it, so a gap in the numbers, or a record, proves it.

What left neither is not known here, as the newest weights, or a study that no journal and no audit log names.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from urllib.parse import unquote

from lib.store.audit import Audit
from lib.store.checkup.finding import QUARANTINE, Finding
from lib.store.errors import StoreError
from lib.store.lines import read_lines
from lib.store.records import file_name, from_json

#: Versions of labels by study, or by what stands for it in the audit log.
Saves = dict[str, set[int]]
_TOLD = 5


def check_lost(state: Path) -> Iterator[Finding]:
    """Find what must have been there: versions, journals, labels of whole studies, the audit log."""
    # The audit log first, versions last: they are written the other way round, and a server may run.
    audited = _saves((state / "audit").glob("????-??.jsonl"))
    journaled = _saves((state / "journal").glob("*.jsonl"))
    known = _pseudonyms(state, _studies(state) | journaled.keys())
    if known is not None:
        if unknown := sorted(audited.keys() - known.keys()):
            yield Finding(
                state / "audit",
                "The log has saves of labels of studies with neither a label nor a journal here "
                f"({_some(unknown)} in the log): they are gone, or the log's key is another. A backup "
                "may have them.",
            )
        of_known = ((known[one], numbers) for one, numbers in audited.items() if one in known)
        for study, numbers in sorted(of_known):
            journaled[study] = journaled.get(study, set()) | numbers
            path = state / f"journal/{file_name(study)}.jsonl"
            if not path.exists():
                what = f"The journal of {study} is gone, and the audit log has a save of its label."
                yield Finding(path, f"{what} A backup may have it.")
    elif journaled or any((state / "audit").glob("*.jsonl")):
        yield Finding(
            state / "audit",
            "The audit log or its key is gone: with a new key, the log does not tell any more which study of "
            "before is which. A backup may have it.",
        )
    named = {file_name(study): numbers for study, numbers in journaled.items()}
    for name in sorted({path.name for path in (state / "labels").glob("*")} | named.keys()):
        what = f"of the label of {unquote(name)}"
        yield from _gaps(state, state / "labels" / name, "Version", what, named.get(name, ()))
    for folder in sorted((state / "impressions").glob("*")):
        yield from _gaps(state, folder, "Accepted impression", f"of {unquote(folder.name)}")
    for registry in ("models", "adapters"):
        yield from _gaps(state, state / registry, "Version", "of the weights")


def _saves(files: Iterable[Path]) -> Saves:
    """Read which versions were saved, as journals or the audit log say; damage is told elsewhere."""
    saves: Saves = {}
    for file in files:
        try:
            lines = list(read_lines(file))
        except OSError:
            continue
        for line in lines:
            try:
                event = from_json(line)
            except StoreError:
                continue
            study, number = event.get("study"), event.get("version")
            if event.get("event") == "save" and type(number) is int and isinstance(study, str) and study:
                saves.setdefault(study, set()).add(number)
    return saves


def _pseudonyms(state: Path, studies: set[str]) -> dict[str, str] | None:
    """Return studies by what stands for them in the audit log; None where its key is gone or damaged."""
    if not (state / "audit/key").exists():
        return None
    audit = Audit(state / "audit")
    try:
        return {audit.pseudonym(study): study for study in studies}
    except (OSError, ValueError):
        return None


def _studies(state: Path) -> set[str]:
    """Return the studies that have a journal or a label, also one that a repair moved aside."""
    studies = {unquote(path.stem, errors="surrogatepass") for path in (state / "journal").glob("*.jsonl")}
    for root in (state, *(state / QUARANTINE).glob("*")):
        for folder in (root / "labels").glob("*"):
            studies.add(unquote(folder.name, errors="surrogatepass"))
            for path in folder.glob("*/version.json"):  # the folder's name is not a long study's
                try:
                    studies.add(str(from_json(path.read_bytes()).get("study")))
                except (StoreError, OSError):
                    continue
    return studies - {""}


def _gaps(state: Path, folder: Path, kind: str, what: str, named: Collection[int] = ()) -> Iterator[Finding]:
    """Find numbers that are lower than one that is there, or named, and neither there nor moved aside."""
    ends = {int(path.stem): path.suffix for path in folder.glob("*") if path.stem.isdecimal()}
    newest = max(ends, default=0)
    wanted = chain(range(1, newest), sorted(number for number in named if number > newest))
    paths = ((number, folder / f"{number}{ends.get(newest, '')}") for number in wanted if number not in ends)
    places = (state, *(state / QUARANTINE).glob("*"))
    gone = (
        str(number)
        for number, path in paths
        if not any((place / path.relative_to(state)).exists() for place in places)
    )
    # Not all of them: a folder that somebody named after a date would have millions below it.
    if few := list(islice(gone, _TOLD + 1)):
        yield Finding(folder, f"{kind} {_some(few)} {what} was saved and is gone. A backup may have it.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_TOLD]) + (" and more" if len(names) > _TOLD else "")
