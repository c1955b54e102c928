"""Parameters that come as JSON, in a form field or as the body."""

import json
from typing import Annotated, Any

from fastapi import Body, Depends, HTTPException, Request

from apps.segpet.access.users import name_of
from apps.segpet.studies import refuse_unreadable
from infer_tasks.requests import LONGEST_CLIENT


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


async def _told(params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
    refuse_unreadable(params)
    return params or {}


#: A JSON object as the body, {} where there is none; HTTPException 422 as `refuse_unreadable`.
Params = Annotated[dict[str, Any], Depends(_told)]


def with_client(params: dict[str, Any], request: Request) -> dict[str, Any]:
    """Return a viewer's parameters and who it is: the user, else as it calls itself, else its address.

    HTTPException 422 where it calls itself by what is no name.
    """
    address = request.client.host if request.client else ""
    name = name_of(request, params.get("client_id") or address)
    if not isinstance(name, str) or len(name) > LONGEST_CLIENT:
        raise HTTPException(422, f"client_id must be a text of at most {LONGEST_CLIENT} characters.")
    return {**params, "client_id": name}
