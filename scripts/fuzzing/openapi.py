"""schemathesis over `/openapi.json`: requests that fit it or nearly do; replies are held against it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Seconds within which every request is answered.
PATIENCE = 60
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "use_after_free",
    "response_headers_conformance", "response_schema_conformance", "missing_required_header",
    "unsupported_method", "tells_nothing_from_outside",
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What there is at a server: requests that name nothing of it go no further than to a 404.

    Args:
        url: the server's.
        names: of parameters, and values that mean something.
        shape: voxels of the first study along i, j and k.
        clicks: voxels in lesions of it.
        instances: SOPInstanceUIDs of its slices.
    """

    url: str
    names: dict[str, list[Any]]
    shape: tuple[int, int, int]
    clicks: list[list[int]]
    instances: list[str]


def know(url: str) -> Known:
    """Ask a server what there is; `segpet_auto` finds lesions."""
    import requests

    session = requests.Session()

    def get(path: str) -> Any:
        reply = session.get(url + path, timeout=PATIENCE)
        reply.raise_for_status()
        return reply.json()

    told, info = get("/segpet/studies")["studies"], get("/info/")
    images = sorted(get("/datastore/?output=all")["objects"])
    by_title = {one["title"]: one for one in told}
    first = get(f"/segpet/studies/{by_title[images[0]]['id']}")
    proposed = session.post(
        f"{url}/infer/segpet_auto?image={images[0]}&output=json",
        data={"params": '{"client_id": "scout"}'},
        timeout=PATIENCE,
    )
    instance_uids = first["instances"]
    names: dict[str, list[Any]] = {
        "uid": [by_title[image]["id"] for image in images],
        "series": [by_title[image]["id"] for image in images],
        "study": [by_title[image]["study_uid"] for image in images],
        "instance": instance_uids[:3],
        "numbers": ["1"],
        "image": images,
        "label": images,
        "tag": ["final", "draft", "original"],
        "model": sorted(info["models"]),
        "strategy": sorted(info["strategies"]),
        "client": ["fuzz", "other"],
        "number": [1, 2],
    }
    shape = (first["columns"], first["rows"], len(instance_uids))
    clicks = [found["positive"][0] for found in proposed.json()["objects"]]
    return Known(url, names, shape, clicks, instance_uids)


def told_of(schema: dict[str, Any], known: Known) -> dict[str, Any]:
    """Return an OpenAPI schema in which three of four values of what has a name are names that there are."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if (names := known.names.get(parameter["name"])) is not None:
                    parameter["schema"] = {"anyOf": [*[{"enum": names}] * 3, parameter["schema"]]}
    return schema


def attack(known: Known, folder: Path, seconds: float, seed: int, thorough: bool) -> bool:
    """Run schemathesis; it prints what it finds, with a command that repeats it.

    Args:
        known: the server and what there is.
        folder: for schemathesis' own files.
        seconds: how long at most.
        seed: of what it makes up.
        thorough: with the limits of every value, and with chains of requests.

    Returns:
        Whether nothing was found.
    """
    import requests

    schema = requests.get(f"{known.url}/openapi.json", timeout=PATIENCE).json()
    (folder / "openapi.json").write_text(json.dumps(told_of(schema, known)))
    phases = "examples,coverage,fuzzing,stateful" if thorough else "fuzzing"
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", known.url,
        "--seed", str(seed), "--max-time", str(max(1, round(seconds))), "--phases", phases,
        "--request-timeout", str(PATIENCE), "--max-response-time", str(PATIENCE),
        "--checks", ",".join(CHECKS), "--continue-on-failure", "--warnings", "off",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "scripts.fuzzing.hooks"}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode == 0
