"""`segpet audit`: who did what."""

from pathlib import Path
from typing import Annotated

import typer

from scripts import InputError, app


@app.command()
def audit(
    studies: Annotated[Path, typer.Argument(help="Studies folder, as `serve --studies` has it.")],
    state: Annotated[Path | None, typer.Option(help="State folder, as of `serve`.")] = None,
    study: Annotated[str | None, typer.Option(help="Show what was done to this study only.")] = None,
) -> None:
    """Print the audit log, a JSON line each, and check that no line was changed or taken out.

    Sign-ins, saves, accepted impressions, trainings, promotions, exports and imports, with user and time.
    Studies are pseudonyms; with `--study` those of one are shown. Exit status 1: the log was changed.

    `segpet audit /data/pet --study P17`
    """
    from lib.store import Audit, StoreError, open_state
    from lib.store.records import to_json

    if state is None and not studies.is_dir():
        raise InputError(f"There is no folder {studies}: name the one that `segpet serve` serves.")
    log = Audit(open_state(str(studies), state).folder("audit"))
    wanted = log.pseudonym(study) if study else None
    count = 0
    try:
        for record in log.read():
            count += 1
            if wanted in (None, record.get("study")):
                typer.echo(to_json(record))
    except StoreError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{count} entr{'y' if count == 1 else 'ies'}, unchanged.", err=True)
