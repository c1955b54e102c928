"""Parameters that come as JSON in a form field."""

import json
from typing import Any

from fastapi import HTTPException, Request

from apps.segpet.access.users import name_of
from apps.segpet.studies import refuse_unreadable


def json_object(text: str, field: str) -> dict[str, Any]:
    """Return the JSON object of a form field; HTTPException 422 where it is none, or `refuse_unreadable`."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"The form field {field} must hold JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(422, f"The form field {field} must hold a JSON object.")
    refuse_unreadable(value)
    return value


def with_client(params: dict[str, Any], request: Request) -> dict[str, Any]:
    """Return a viewer's parameters and who it is: the user, else as it calls itself, else its address."""
    address = request.client.host if request.client else ""
    return {**params, "client_id": name_of(request, params.get("client_id") or address)}
