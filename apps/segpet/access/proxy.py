"""A reverse proxy before the server: its word is taken for address, scheme and name, and for its user."""

import hmac
import ipaddress
import logging
import os
from collections.abc import Mapping
from typing import NamedTuple

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.segpet.access.tokens import digest_of
from apps.segpet.access.users import NAME_RULE, Role, User, is_name
from apps.segpet.options import OptionError, secret

logger = logging.getLogger("segpet")

#: Environment variable with the secret that the proxy sends; `_FILE` at the end names a file with it.
SECRET = "SEGPET_PROXY_SECRET"
_SHORTEST = 20
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ROLES = {role.word: role for role in (Role.ANNOTATOR, Role.REVIEWER, Role.ADMIN)}
_OURS = (b"x-forwarded-", b"x-segpet-")


class TrustedProxy(NamedTuple):
    """From where a proxy comes, and the digest of the secret with which it names users ("": it may not)."""

    networks: tuple[_Network, ...]
    secret: str


def read_proxy(conf: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> TrustedProxy:
    """Return the proxy that the option `proxy` names.

    Raises:
        OptionError: it is no address, the secret is too short, or there is a secret and no address.
    """
    try:
        networks = tuple(
            ipaddress.ip_network(one.strip()) for one in conf.get("proxy", "").split(",") if one.strip()
        )
    except ValueError as error:
        raise OptionError(
            "The option proxy must be the address of the reverse proxy, such as 10.0.0.5, or 10.0.0.0/28."
        ) from error
    known = secret(SECRET, environment)
    if known and not networks:
        raise OptionError(f"{SECRET} is set, but --proxy does not say which address may send it.")
    if known and len(known) < _SHORTEST:
        raise OptionError(f"{SECRET} is too short to be safe: take {_SHORTEST} characters or more.")
    return TrustedProxy(networks, digest_of(known) if known else "")


class Forwarded:
    """ASGI middleware: puts into the scope what the proxy says; of others such headers are left out.

    A user that comes with the right secret is `segpet.proxied` in the scope; whose name or role cannot be
    one is refused (403), for no form could let them in.

    Args:
        app: what is behind it.
        proxy: whose word is taken.
    """

    def __init__(self, app: ASGIApp, proxy: TrustedProxy) -> None:
        self._app, self._proxy = app, proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] in ("http", "websocket"):
            said = {name: value for name, value in scope["headers"] if name.startswith(_OURS)}
            repeated = len(said) < sum(name.startswith(_OURS) for name, _ in scope["headers"])
            scope["headers"] = [pair for pair in scope["headers"] if not pair[0].startswith(_OURS)]
            if said and not repeated and self._is_proxy(scope.get("client")):
                self._take(scope, {name.decode(): value.decode("latin-1") for name, value in said.items()})
                refusal = self._sign_in(scope, {name.decode(): value for name, value in said.items()})
                if refusal and scope["type"] == "http":
                    logger.warning("%s", refusal)
                    await JSONResponse({"detail": refusal}, 403)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _is_proxy(self, client: tuple[str, int] | None) -> bool:
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        return any(address in network for network in self._proxy.networks)

    def _take(self, scope: Scope, said: dict[str, str]) -> None:
        # The last address is the one that the proxy itself saw; those before are what its client says.
        if address := said.get("x-forwarded-for", "").rpartition(",")[2].strip():
            scope["client"] = (address, 0)
        if (scheme := said.get("x-forwarded-proto", "").lower()) in ("http", "https"):
            scope["scheme"] = scheme
        if host := said.get("x-forwarded-host", "").strip():
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [*others, (b"host", host.encode("latin-1"))]

    def _sign_in(self, scope: Scope, said: dict[str, bytes]) -> str:
        """Put the proxy's user into the scope; returns why that cannot be, "" where nothing is amiss."""
        secret = digest_of(said.get("x-segpet-secret", b"").decode(errors="replace"))
        name = said.get("x-segpet-user", b"").decode(errors="replace")
        if not (name and self._proxy.secret and hmac.compare_digest(secret, self._proxy.secret)):
            return ""
        role = said.get("x-segpet-role", b"").decode(errors="replace").lower() or Role.ANNOTATOR.word
        if not is_name(name):
            return f"The single sign-on gives a name that cannot be a user's: it has {NAME_RULE}."
        if role not in _ROLES:
            return f"The single sign-on gives a role that is none of {', '.join(_ROLES)}."
        scope["segpet.proxied"] = User(name, _ROLES[role])
        return ""
