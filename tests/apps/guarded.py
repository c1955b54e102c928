"""The users of the server that asks for tokens (fixture `guarded`), and the secret of its proxy."""

from apps.segpet.access.users import Role, User

USERS = (User("ann", Role.ANNOTATOR), User("rita@ward.example", Role.REVIEWER), User("adam", Role.ADMIN))
TOKENS = {user.role: f"{user.name}-0123456789-0123456789" for user in USERS}
SECRET = "the-proxy's-secret-0123456789"


def bearer(role: Role) -> dict[str, str]:
    """What a program of a user with a role sends."""
    return {"Authorization": f"Bearer {TOKENS[role]}"}
