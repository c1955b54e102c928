"""Users and their roles; what a route asks about whoever it answers."""

from dataclasses import dataclass
from enum import IntEnum
from unicodedata import category

from fastapi import HTTPException, Request

#: Of a client in a path, as pydantic reads it; every user's name fits.
NAME = r"[\w.@+|'\\-]{1,64}"
#: Of names, in sentences; letters and digits are those of any script.
NAME_RULE = r"at most 64 letters, digits and . _ @ + | ' \ -"
_SIGNS = r"._@+|'\-"
_LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd")


class Role(IntEnum):
    """What somebody may do; each may do what those before may."""

    NOBODY = 0
    ANNOTATOR = 1
    REVIEWER = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The role as it is written in files and sentences."""
        return self.name.lower()


@dataclass(frozen=True)
class User:
    """Who is asking; `name` is "" where the server knows no users."""

    name: str
    role: Role


#: Whoever sits at the machine itself, where there are no tokens.
AT_THIS_MACHINE = User("", Role.ADMIN)


def is_name(text: str) -> bool:
    """Whether a text can be a user's name: nothing invisible, no sign that paths or tokens files use."""
    return 0 < len(text) <= 64 and all(one in _SIGNS or category(one) in _LETTERS for one in text)


def user_of(request: Request) -> User:
    """Return who is asking; the gate has said it."""
    user: User = request.scope["user"]
    return user


def name_of(request: Request, said: str) -> str:
    """Return under which name somebody works: the user's, else what the client calls itself."""
    return user_of(request).name or said


def demand(request: Request, role: Role) -> None:
    """Raise HTTPException 403 unless whoever is asking has a role, or a greater one."""
    user = user_of(request)
    if user.role < role:
        raise HTTPException(403, refusal(user, role))


def refusal(user: User, role: Role) -> str:
    """Return the sentence that says why somebody may not do something."""
    return f"This needs the role {role.word}; {user.name} is signed in as {user.role.word}."
