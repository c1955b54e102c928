"""Who did what goes into the audit log (docs/security.md)."""

from typing import Any

from fastapi import Request
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.access.users import name_of
from apps.segpet.failures import log_unexpected

#: Who is meant where the server knows no users.
AT_THIS_MACHINE = "(this machine)"


def record(request: Request, event: str, study: str = "", said: str = "", **what: Any) -> None:
    """Record what was done for a request.

    Args:
        request: the request.
        event: what it was.
        study: to which it was done.
        said: what the client calls itself, where the server knows no users.
        what: more of it, nothing that tells whose study it is.
    """
    user = name_of(request, said) or AT_THIS_MACHINE
    app_instance().workspace.audit.append(event, user, study, **what)


def record_sign_in(event: str, user: str, address: str) -> None:
    """Record that somebody signed in, or was refused; a full disk keeps nobody out."""
    try:
        app_instance().workspace.audit.append(event, user, address=address)
    except OSError as error:
        log_unexpected(error)
