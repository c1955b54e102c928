"""What has to be settled before the server listens: its names, TLS, and a token where there is none."""

import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import NoReturn

import psutil

from apps.segpet.access.proxy import read_proxy
from apps.segpet.access.tokens import VARIABLE, is_configured, new_token, read_file
from apps.segpet.options import OptionError


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which no other machine reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_names(host: str) -> list[str]:
    """Return the names by which the server is called that listens at an address; all, for 0.0.0.0."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    addresses = [one.address for some in psutil.net_if_addrs().values() for one in some]
    addresses = [one.partition("%")[0] for one in addresses if _is_address(one.partition("%")[0])]
    return [*dict.fromkeys([socket.gethostname(), socket.getfqdn(), *addresses])]


def checked_tls(certificate: str | None, key: str | None) -> dict[str, str]:
    """Return uvicorn's options for TLS, none where neither file is given.

    Raises:
        OptionError: one is missing, cannot be read or wants a password, or they do not belong together.
    """
    if not certificate and not key:
        return {}
    if not certificate or not key:
        raise OptionError("TLS takes both --ssl-certfile and --ssl-keyfile.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, _no_password)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"TLS cannot be used with {certificate} and {key}: they must be the PEM files of one "
            "certificate and its key, which no password protects."
        ) from error
    return {"ssl_certfile": certificate, "ssl_keyfile": key}


def settle_access(
    host: str, conf: Mapping[str, str], environment: MutableMapping[str, str] = os.environ
) -> str:
    """Check tokens and proxy; where others reach the server and nobody has a token, make one for this run.

    Returns:
        The token that was made, to be shown once; "" where none was.

    Raises:
        OptionError: tokens or proxy cannot be used.
    """
    proxy = read_proxy(conf, environment)
    if file := conf.get("tokens"):
        read_file(Path(file))
    if is_loopback(host) or file or proxy.secret or is_configured(environment):
        return ""
    environment[f"{VARIABLE}ADMIN"] = token = new_token()
    return token


def _no_password() -> NoReturn:
    raise ValueError("the key is protected by a password")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
