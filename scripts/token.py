"""`segpet token`: let a user in."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from scripts import InputError, app


@app.command()
def token(
    file: Annotated[Path, typer.Argument(help="Tokens file, as `serve --tokens` has it; made where absent.")],
    name: Annotated[str, typer.Argument(help=r"The user's name: letters, digits and . _ @ + | ' \ -")],
    role: Annotated[
        Literal["annotator", "reviewer", "admin"] | None,
        typer.Option(
            help="annotator: clicks, submits. reviewer: final labels too. admin: all. The user's own if not "
            "given, annotator for a new one."
        ),
    ] = None,
) -> None:
    """Make a token for a user, show it once, and write its digest into the tokens file.

    A user's former token ends; so does the token of a user whose line is taken out of the file. A running
    server follows within a second.

    `segpet token users.txt jane --role reviewer`
    """
    from apps.segpet.access.tokens import line_of, new_token, read_file
    from apps.segpet.access.users import NAME_RULE, Role, User, is_name
    from lib.store import alone_in, rewrite_atomic

    if not is_name(name):
        raise InputError(f"A user's name has {NAME_RULE} and nothing else.")
    made = new_token()
    with alone_in(file.resolve().parent):
        lines, now = [], Role.ANNOTATOR
        if file.exists():
            now = next((user.role for user in read_file(file).values() if user.name == name), now)
            lines = file.read_text(encoding="utf-8").splitlines()
        kept = [f"{line}\n" for line in lines if line.split()[:1] != [name]]
        user = User(name, Role[role.upper()] if role else now)
        rewrite_atomic(file, "".join([*kept, line_of(user, made)]))
    typer.echo(f"{name} ({user.role.word}): {made}\nIt is shown this once; {file} holds its digest.")
