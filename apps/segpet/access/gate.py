"""The gate before viewer and routes: who is asking, and may they?"""

from collections.abc import Collection
from urllib.parse import quote, urlencode

from fastapi import HTTPException, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.segpet.access.access import Access, address_of
from apps.segpet.access.page import sign_in_page
from apps.segpet.access.table import role_for
from apps.segpet.access.users import Role, User, refusal


class Gate:
    """ASGI middleware: refuses whoever is not signed in (401) or has too small a role (403).

    The user is `user` in the scope. A browser that asks for a page gets the one to sign in instead; with
    `?token=` in the address it is signed in, and the token leaves the address.

    Args:
        app: what is behind it.
        access: who comes in.
        routes: all routes behind it.
    """

    def __init__(self, app: ASGIApp, access: Access, routes: Collection[Route]) -> None:
        self._app, self._access, self._routes = app, access, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http":
            answer = self._answer(Request(scope))
            await (answer or self._app)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        scope, needed = request.scope, role_for(self._routes, request.method, request.scope["path"])
        if (token := _in_address(request)) is not None:
            return self._from_address(request, token)
        if needed is Role.NOBODY:
            scope["user"] = User("", Role.NOBODY)
            return None
        try:
            scope["user"] = user = self._access.user(request)
        except HTTPException as error:
            if is_page(request) and error.status_code == 401:
                return _arrive(request) or self.page(request)
            return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        if user.role < needed:
            return JSONResponse({"detail": refusal(user, needed)}, 403)
        return None

    def _from_address(self, request: Request, token: str) -> Response:
        """Sign a browser in with the token of its address."""
        onward = address_without_token(request)
        try:
            self._access.checked(token, address_of(request))
        except HTTPException as error:
            return refused_page(request, onward, error)
        response = RedirectResponse(onward, 303)
        self._access.sign_in(request, response, token)
        return response

    def page(self, request: Request) -> Response:
        """Return the page to sign in, which goes on to where the request wanted to."""
        return sign_in_page(request.headers.get("accept-language", ""), address_without_token(request))


def refused_page(request: Request, onward: str, error: HTTPException) -> Response:
    """Return the page to sign in again after a token was refused."""
    seconds = int((error.headers or {}).get("Retry-After", 0))
    accepted = request.headers.get("accept-language", "")
    return sign_in_page(accepted, onward, "wait" if seconds else "wrong", seconds, error.status_code)


def is_page(request: Request) -> bool:
    """Whether a browser wants a page to show."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def address_without_token(request: Request) -> str:
    """Return the path and query that were asked for, on this server whatever the path looks like."""
    query = urlencode(
        [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
    )
    return local(quote(request.scope["path"])) + (f"?{query}" if query else "")


def local(address: str) -> str:
    """Return an address as one on this server: `//evil.example` is one on another."""
    return "/" + address.lstrip("/\\")


def _in_address(request: Request) -> str | None:
    """Return the token in the address that somebody opened; a link of another site signs nobody in."""
    own = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    return request.query_params.get("token") if own and is_page(request) else None


def _arrive(request: Request) -> Response | None:
    """Return a page that opens itself again, for a browser that comes by a link of another site.

    It brings no cookie then (SameSite=Strict), and does where the page itself leads on.
    """
    if request.headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
        return None
    headers = {"Refresh": f"0; url={address_without_token(request)}"}
    return Response("", 200, headers, media_type="text/html")
