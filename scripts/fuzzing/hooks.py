"""What schemathesis is to know of our contents; it imports this by SCHEMATHESIS_HOOKS."""

import json
from typing import Any

import schemathesis

from scripts.fuzzing.world import CANARY


@schemathesis.serializer("application/x-segpet-frame")
def as_frame(_: Any, value: Any) -> bytes:
    """Send what was made up as it is: it is no frame, or by luck one."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


@schemathesis.deserializer("application/x-ndjson")
def from_lines(_: Any, response: Any) -> list[Any]:
    """Read a JSON value from each line."""
    return [json.loads(line) for line in response.content.splitlines() if line]


@schemathesis.check
def tells_nothing_from_outside(_: Any, response: Any, __: Any) -> None:
    """Hold every reply against what lies outside the studies."""
    assert CANARY.encode() not in response.content, "The reply holds a file from outside the studies."
