"""Container, compose example and docs/operations.md: what they name is there, and nothing is left out."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from apps.segpet.options import _KEYS
from scripts.__main__ import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("apps", "infer_tasks", "lib", "scripts", "trainers")
OPERATIONS = (ROOT / "docs/operations.md").read_text()
CONTAINERFILE = (ROOT / "Containerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
NAME = re.compile(r"SEGPET_[A-Z]+(?:_[A-Z]+)*_?")


def options_of_serve() -> set[str]:
    command = typer.main.get_command(app).commands["serve"]
    return {option for parameter in command.params for option in parameter.opts} - {"--help", "-h"}


def names_in_code() -> set[str]:
    """The environment variables that are read somewhere; one that ends in _ is the beginning of several."""
    files = [ROOT / "segpet", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    return {name.removesuffix("_FILE") for file in files for name in NAME.findall(file.read_text())}


def is_known(name: str) -> bool:
    known = names_in_code()
    own = name.removesuffix("_FILE")
    return own in known or any(own.startswith(start) for start in known if start.endswith("_"))


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile: keyword and the rest."""
    lines = [line for line in CONTAINERFILE.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def arguments(keyword: str) -> list[str]:
    return json.loads(next(rest for name, rest in instructions() if name == keyword))


def table() -> list[list[str]]:
    """The rows of the table of options: option, key, environment, what."""
    part = OPERATIONS.split("\n## Configuration\n")[1].split("\n## ")[0]
    rows = [line[1:-1].split("|") for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def in_column(column: int, pattern: str) -> set[str]:
    return {found for row in table() for found in re.findall(pattern, row[column])}


def test_everything_that_is_copied_into_the_image_is_there_and_all_packages_are():
    copied = [
        source
        for keyword, rest in instructions()
        if keyword == "COPY" and not rest.startswith("--from")
        for source in shlex.split(rest)[:-1]
    ]
    assert all((ROOT / source).exists() for source in copied)
    assert {*PACKAGES, "compat", "segpet", "pyproject.toml"} <= set(copied)
    let_in = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split()]
    assert set(copied) <= set(let_in)


def test_the_image_runs_as_nobody_in_particular_and_is_watched():
    words = [keyword for keyword, _ in instructions()]
    assert ("USER", "segpet") in instructions()
    assert words.index("USER") < words.index("ENTRYPOINT")
    health = next(rest for keyword, rest in instructions() if keyword == "HEALTHCHECK")
    (path,) = re.findall(r"127\.0\.0\.1:8000(/\w+)", health)
    assert f'"{path}"' in (ROOT / "apps/segpet/routes/health.py").read_text()
    assert arguments("ENTRYPOINT") == ["./segpet", "serve"]


def test_the_image_and_the_example_give_options_that_serve_has():
    given = [*arguments("CMD"), *COMPOSE["services"]["segpet"]["command"]]
    options = {option.partition("=")[0] for option in given if option.startswith("--")}
    assert options and options <= options_of_serve()


def test_the_environment_in_image_and_example_is_read_by_somebody():
    named = {*NAME.findall(CONTAINERFILE), *NAME.findall((ROOT / "compose.yaml").read_text())}
    assert named and all(is_known(name) for name in named), named


def test_the_example_holds_together():
    services = COMPOSE["services"]
    segpet = services["segpet"]
    assert segpet["build"]["dockerfile"] == "Containerfile"
    assert segpet["read_only"] and segpet["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in segpet["ports"])
    assert set(segpet["secrets"]) == set(COMPOSE["secrets"])
    assert all(not name.endswith("_FILE") or path.startswith("/run/secrets/")
               for name, path in segpet["environment"].items())  # fmt: skip
    volumes = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert {name for name in volumes if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert {network for service in services.values() for network in service["networks"]} == set(
        COMPOSE["networks"]
    )
    assert all(service["networks"] == ["archive"] for name, service in services.items() if name != "segpet")
    assert services["vllm"]["profiles"] == ["impression"]


def test_both_say_that_nobody_builds_them_here():
    assert "Not built in CI" in CONTAINERFILE
    assert "not started in CI" in (ROOT / "compose.yaml").read_text()


def test_the_table_of_options_is_that_of_the_command():
    assert in_column(0, r"--[a-z-]+") == options_of_serve()


def test_the_table_of_options_has_every_key_of_the_app():
    assert in_column(1, r"`(\w+)`") == set(_KEYS)


def test_the_table_of_options_has_every_variable_that_is_read():
    documented = in_column(2, r"SEGPET_[A-Z_]+")
    assert all(is_known(name) for name in documented), documented
    for name in names_in_code():
        assert name in documented or (name.endswith("_") and any(one.startswith(name) for one in documented))


def test_the_table_of_options_has_monai_labels_settings_that_matter():
    code = "".join(path.read_text() for path in (ROOT / "apps").rglob("*.py"))
    read = set(re.findall(r"settings\.(MONAI_LABEL_[A-Z_]+)", code))
    set_by_us = set(re.findall(r'"(MONAI_LABEL_[A-Z_]+)":', code))
    assert read - set_by_us - {"MONAI_LABEL_AUTH_ENABLE"} == in_column(2, r"MONAI_LABEL_[A-Z_]+")


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`?segpet ([a-z]+)", OPERATIONS))))
def test_every_command_that_operations_names_is_one(command):
    assert command in typer.main.get_command(app).commands
