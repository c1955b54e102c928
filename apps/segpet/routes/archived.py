"""What a client that saved a final label is told of the archive."""

from typing import Any

from monailabel.interfaces.utils.app import app_instance


def in_archive(study: str, status: str) -> dict[str, Any]:
    """Send a label that was saved as final, where there is an archive; return `archive` for the reply."""
    outgoing = app_instance().outgoing
    outcome = outgoing.send(study) if outgoing is not None and status == "final" else None
    return {} if outcome is None else {"archive": outcome.as_dict()}
