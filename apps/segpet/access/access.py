"""What says who somebody is: a token, a browser's cookie, or a reverse proxy with single sign-on."""

import ipaddress
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from fastapi import HTTPException, Request
from starlette.responses import Response

from apps.segpet.access.attempts import Attempts
from apps.segpet.access.record import record_sign_in
from apps.segpet.access.sessions import LASTS, Sessions
from apps.segpet.access.tokens import Tokens, digest_of
from apps.segpet.access.users import AT_THIS_MACHINE, User

_NEEDED = (
    "A token is needed: sign in at the server's address in a browser, or send Authorization: Bearer TOKEN."
)
_WRONG = "No user has this token."


class Access:
    """Who comes in.

    Without tokens and without a proxy that signs users in, whoever reaches the server by this machine's own
    address does, as an admin, and nobody else.

    Args:
        tokens: of users.
        proxied: whether a reverse proxy may say who its user is.
    """

    def __init__(self, tokens: Tokens, proxied: bool = False) -> None:
        self.tokens, self._proxied = tokens, proxied
        self.sessions, self.attempts = Sessions(), Attempts()

    @property
    def is_login(self) -> bool:
        """Whether users have to say who they are."""
        return self.tokens.are_there or self._proxied

    def user(self, request: Request) -> User:
        """Return who is asking.

        Raises:
            HTTPException: 401 where nobody has signed in, or with a token of nobody; 429 where too many of
                those came from the same address.
        """
        if (user := request.scope.get("segpet.proxied")) is not None:
            return user  # type: ignore[no-any-return]
        if not self.is_login and _is_this_machine(request.scope.get("server")):
            return AT_THIS_MACHINE
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.checked(token.strip(), address_of(request))
        digest = self.sessions.token(request.cookies.get(cookie_name(request), ""))
        user = self.tokens.user_with(digest) if digest else None
        if user is None:
            raise HTTPException(401, _NEEDED, {"WWW-Authenticate": "Bearer"})
        return user

    def checked(self, token: str, address: str) -> User:
        """Return whose token it is; raises as `user`."""
        if seconds := self.attempts.wait(address):
            raise HTTPException(
                429, f"Too many attempts failed: try again in {seconds} s.", {"Retry-After": str(seconds)}
            )
        user = self.tokens.user(token)
        if user is None:
            self.attempts.failed(address)
            record_sign_in("sign-in refused", "", address)
            raise HTTPException(401, _WRONG, {"WWW-Authenticate": "Bearer"})
        self.attempts.succeeded(address)
        return user

    def sign_in(self, request: Request, response: Response, token: str) -> None:
        """Give a browser a cookie for a token that was checked; what it had before ends."""
        self.sessions.end(request.cookies.get(cookie_name(request), ""))
        if user := self.tokens.user(token):
            record_sign_in("sign-in", user.name, address_of(request))
        response.set_cookie(
            cookie_name(request),
            self.sessions.begin(digest_of(token)),
            max_age=LASTS,
            secure=request.scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )

    def sign_out(self, request: Request, response: Response) -> None:
        """Take a browser's cookie back."""
        name = cookie_name(request)
        self.sessions.end(request.cookies.get(name, ""))
        response.delete_cookie(
            name, secure=request.scope["scheme"] == "https", httponly=True, samesite="strict"
        )


def open_access(
    conf: Mapping[str, str], proxied: bool, environment: MutableMapping[str, str] = os.environ
) -> Access:
    """Return who comes in by the server's options; OptionError where tokens cannot be used."""
    file = conf.get("tokens")
    return Access(Tokens(environment, Path(file) if file else None), proxied)


def cookie_name(request: Request) -> str:
    """Return the cookie's name: another for each port, and with TLS one that no other host can set."""
    port = (request.scope.get("server") or ("", 0))[1]
    return f"{'__Host-' if request.scope['scheme'] == 'https' else ''}segpet-{port}"


def address_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else ""


def _is_this_machine(server: tuple[str, int | None] | None) -> bool:
    try:
        return server is not None and ipaddress.ip_address(server[0]).is_loopback
    except ValueError:
        return False
