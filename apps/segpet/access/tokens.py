"""Tokens: who they belong to. Only their digests are kept, in memory and in the file."""

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from apps.segpet.access.users import Role, User, is_name
from apps.segpet.options import OptionError, secret

logger = logging.getLogger("segpet")

#: With the role at the end; and `_FILE` after that names a file that holds it.
VARIABLE = "SEGPET_TOKEN_"
_ROLES = (Role.ANNOTATOR, Role.REVIEWER, Role.ADMIN)
_SHORTEST = 20
_SECONDS = 1.0
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def new_token() -> str:
    """Return a token that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """Return the digest by which a token is known; a token of 256 bits needs no slower one."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def line_of(user: User, token: str) -> str:
    """Return the line of a tokens file that lets a user in."""
    return f"{user.name} {user.role.word} sha256:{digest_of(token)}\n"


class Tokens:
    """The users of a server, by the digests of their tokens.

    Args:
        environment: holds tokens of roles; they are taken out of it, for processes that are started later.
        file: of named users, a line each (see `line_of`); it is read again when it changes. While it cannot
            be read, none of its users comes in.

    Raises:
        OptionError: a token is too short to be safe, or the file cannot be used.
    """

    def __init__(self, environment: MutableMapping[str, str], file: Path | None = None) -> None:
        self._fixed = _from_environment(environment)
        self._file, self._stamp, self._looked = file, (0, 0), 0.0
        self._named: dict[str, User] = {}
        if file is not None:
            self._named = read_file(file)
            self._stamp = _stamp(file)

    @property
    def are_there(self) -> bool:
        """Whether a token is needed at all."""
        return bool(self._fixed) or self._file is not None

    def user(self, token: str) -> User | None:
        """Return whose token it is."""
        return self.user_with(digest_of(token))

    def user_with(self, digest: str) -> User | None:
        """Return whose token has a digest; all are compared, each in constant time."""
        self._follow()
        found = None
        for known, user in (self._fixed | self._named).items():
            if hmac.compare_digest(known, digest):
                found = user
        return found

    def _follow(self) -> None:
        if self._file is None or time.monotonic() - self._looked < _SECONDS:
            return
        self._looked = time.monotonic()
        if (stamp := _stamp(self._file)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._named = read_file(self._file)
        except OptionError as error:
            self._named = {}
            logger.error("%s Until then nobody of it comes in.", error)


def read_file(file: Path) -> dict[str, User]:
    """Return the users of a tokens file by their digests; OptionError where it cannot be used."""
    try:
        if file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OptionError(f"Others may write the tokens file {file}: run `chmod go-w` on it.")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"The tokens file {file} cannot be read: name another one.") from error
    users: dict[str, User] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, role, digest = (*line.split(), "", "", "")[:3]
        known = {one.word: one for one in _ROLES}
        matched = _DIGEST.fullmatch(digest)
        if not (is_name(name) and role in known and matched and len(line.split()) == 3):
            raise OptionError(
                f"Line {number} of the tokens file {file} is not NAME ROLE sha256:DIGEST: "
                f"`segpet token {file} NAME --role ROLE` writes such lines."
            )
        users[matched[1]] = User(name, known[role])
    return users


def _from_environment(environment: MutableMapping[str, str]) -> dict[str, User]:
    users = {}
    for role in _ROLES:
        name = f"{VARIABLE}{role.name}"
        if token := _taken(name, environment):
            if len(token) < _SHORTEST:
                raise OptionError(
                    f"The token in {name} is too short to be safe: take {_SHORTEST} characters or more."
                )
            users[digest_of(token)] = User(role.word, role)
    return users


def _taken(name: str, environment: MutableMapping[str, str]) -> str:
    token = secret(name, environment)
    environment.pop(name, None)
    return token


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment holds a token of some role."""
    return any(environment.get(f"{VARIABLE}{role.name}{end}") for role in _ROLES for end in ("", "_FILE"))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        known = file.stat()
    except OSError:
        return 0, 0
    return known.st_mtime_ns, known.st_ino
