"""Signing in and out in the browser, `/auth` as MONAI Label's clients know it, and who one is."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from apps.segpet.access.access import Access, address_of
from apps.segpet.access.gate import local, refused_page
from apps.segpet.access.users import user_of
from apps.segpet.routes.replies import pages

router = APIRouter(tags=["Access"])

Token = Annotated[str, Form(max_length=1000)]


@router.post("/sign-in", summary="Sign in", response_class=HTMLResponse, responses=pages(401, 429))
async def sign_in(
    request: Request, token: Token, onward: Annotated[str, Form(max_length=8000)] = "/"
) -> Response:
    """Take the form of the page to sign in, and go on to where the browser wanted to."""
    onward = local(onward)
    access = _access(request)
    try:
        access.checked(token.strip(), address_of(request))
    except HTTPException as error:
        return refused_page(request, onward, error)
    response = RedirectResponse(onward, 303)
    access.sign_in(request, response, token.strip())
    return response


@router.post("/sign-out", summary="Sign out", response_class=HTMLResponse)
async def sign_out(request: Request) -> Response:
    """End the browser's session."""
    response = RedirectResponse("/", 303)
    _access(request).sign_out(request, response)
    return response


@router.get("/segpet/me", summary="Who is asking")
async def me(request: Request) -> dict[str, Any]:
    """Return the user's name, "" where the server knows no users, and role."""
    user = user_of(request)
    return {"name": user.name, "role": user.role.word}


@router.get("/auth/", summary="Is a token needed?")
async def auth(request: Request) -> dict[str, Any]:
    """Say whether a client has to ask for a token first."""
    return {"enabled": _access(request).is_login, "client_id": "segpet", "realm": ""}


@router.post("/auth/token", summary="Check a token")
async def auth_token(
    request: Request, password: Token, username: Annotated[str, Form()] = ""
) -> dict[str, str]:
    """Return a user's token, given as the password: MONAI Label's clients send it from then on."""
    _access(request).checked(password.strip(), address_of(request))
    return {"access_token": password.strip(), "token_type": "Bearer"}


@router.get("/auth/token/valid", summary="Is the token valid?")
async def auth_valid(request: Request) -> dict[str, Any]:
    """Return who is asking; 401 for a token that nobody has."""
    return await me(request)


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access
